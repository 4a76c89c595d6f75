// The Vercel AI SDK, version 5: spans of its own names (`ai.*`), by `experimental_telemetry`.

import { run } from './vercel_cases.mjs';

await run({
  experimental_telemetry: {
    isEnabled: true, functionId: 'weather-desk', metadata: { userId: 'user-3', sessionId: 'session-7', team: 'harbour' },
  },
});
