"""An admission webhook, run in a pod by `webhooks`: it applies the JSON patch in $PATCH, and refuses without one."""

import base64
import http.server
import json
import os
import ssl

PATCH = os.environ.get("PATCH", "")


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers each AdmissionReview in the same way."""

    def do_POST(self) -> None:
        """Refuse, or patch."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        response = {"uid": review["request"]["uid"], "allowed": bool(PATCH)}
        if PATCH:
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(PATCH.encode()).decode()}
        else:
            response |= {"status": {"message": "refused by the webhook in the pod"}}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Answer)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
