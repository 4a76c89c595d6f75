// The calls of the Vercel AI SDK that both programs make, with its own telemetry on, against the local model.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { embed, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const server = process.env.CORPUS_SERVER;

// The vendors' addresses stay as they are; only the request goes to the local server.
const local = (address, options) => {
  const wanted = new URL(address);
  return fetch(server + wanted.pathname + wanted.search, options);
};

const openai = createOpenAI({ apiKey: 'sk-corpus', fetch: local });
const anthropic = createAnthropic({ apiKey: 'sk-ant-corpus', fetch: local });
const weather = tool({
  description: 'The weather in a city now.',
  inputSchema: z.object({ city: z.string() }),
  execute: async () => '18 degrees, cloudy',
});

const cases = telemetry => {
  const ask = (model, prompt, more = {}) => generateText({ model, prompt, maxRetries: 0, ...telemetry, ...more });
  const claude = anthropic('claude-sonnet-4-5');
  return {
    chat: () => ask(openai.chat('gpt-4o'), 'Say hello.', { temperature: 0.5 }),
    chat_stream: async () => {
      const result = streamText({ model: openai.chat('gpt-4o'), prompt: 'Say it as a stream.', ...telemetry });
      for await (const part of result.textStream) void part;
    },
    chat_think: () => ask(openai.chat('o4-mini'), 'Think about it.'),
    chat_length: () => ask(openai.chat('gpt-4o'), 'Write a poem.', { maxOutputTokens: 16 }),
    chat_error: () => ask(openai.chat('gpt-4o'), 'This must fail.').then(() => { throw new Error('not refused'); }, () => {}),
    embeddings: () => embed({
      model: openai.textEmbeddingModel('text-embedding-3-small'),
      value: 'The harbour sleeps beneath a paper moon.', ...telemetry }),
    responses_think: () => ask(openai.responses('o4-mini'), 'Think about it.'),
    agent_tool: () => ask(openai.chat('gpt-4o'), 'What is the weather in Lyon?', {
      tools: { get_weather: weather }, stopWhen: stepCountIs(4) }),
    anthropic_cached: () => ask(claude, 'Use what is cached.'),
    anthropic_partly: () => ask(claude, 'Use it partly.'),
    anthropic_tool: () => ask(claude, 'What is the weather in Lyon?', {
      tools: { get_weather: weather }, stopWhen: stepCountIs(4) }),
  };
};

export const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'corpus' }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${server}/v1/traces` }))],
});
provider.register();

export const run = async telemetry => {
  let failed = 0;
  for (const [name, call] of Object.entries(cases(telemetry))) {
    await fetch(`${server}/case/${name}`, { method: 'POST' });
    try {
      await call();
    } catch (error) {
      failed = 1;
      console.error(`${name}: ${error}`);
    }
    await provider.forceFlush();
    await fetch(`${server}/case/`, { method: 'POST' });
  }
  process.exit(failed);
};
