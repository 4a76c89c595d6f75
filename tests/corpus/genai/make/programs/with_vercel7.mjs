// The Vercel AI SDK, version 7, whose OpenTelemetry integration is a package of its own.

import { OpenTelemetry } from '@ai-sdk/otel';
import { registerTelemetry } from 'ai';

import { run } from './vercel_cases.mjs';

registerTelemetry(new OpenTelemetry());
const telemetry = { isEnabled: true, functionId: 'weather-desk', metadata: { userId: 'user-3', sessionId: 'session-7' } };
await run({ telemetry, experimental_telemetry: telemetry });
