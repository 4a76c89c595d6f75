"""An admission webhook that refuses everything, run in a pod by test_cluster.py: it shows that the way there works."""

import http.server
import json
import ssl


class Refuse(http.server.BaseHTTPRequestHandler):
    """Answers each AdmissionReview with a refusal."""

    def do_POST(self) -> None:
        """Refuse."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = {"message": "refused by the webhook in the pod"}
        response = {"uid": review["request"]["uid"], "allowed": False, "status": status}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Refuse)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
