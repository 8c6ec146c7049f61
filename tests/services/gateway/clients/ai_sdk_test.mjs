// The AI SDK's provider for compatible services against the gateway at
// TANDEM_GATEWAY.

import assert from 'node:assert/strict';
import test from 'node:test';

import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {generateText, streamText} from 'ai';

const root = process.env.TANDEM_GATEWAY;
const provider = createOpenAICompatible({
  name: 'tandem', baseURL: `${root}/v1`, apiKey: 'none', includeUsage: true,
});
const models = await (await fetch(`${root}/v1/models`)).json();
const name = models.data[0].id;
const model = provider.completionModel(name);
const options = {
  model, prompt: 'Once upon a time', maxOutputTokens: 24, seed: 5,
  maxRetries: 0,
};

test('a seed gives its text twice, whole and streamed', async () => {
  const first = await generateText(options);
  assert.ok(first.text);
  assert.equal(first.usage.outputTokens, 24);
  const second = streamText(options);
  let text = '';
  for await (const part of second.textStream) text += part;
  assert.equal(text, first.text);
  assert.equal(await second.finishReason, 'length');
});

test('errors have the status and the message', async () => {
  const error = await generateText({
    ...options, model: provider.completionModel('none'),
  }).then(() => null, (caught) => caught);
  assert.equal(error?.statusCode, 404);
});
