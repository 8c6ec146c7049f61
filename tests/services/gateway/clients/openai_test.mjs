// The official client of OpenAI's API against the gateway at TANDEM_GATEWAY.

import assert from 'node:assert/strict';
import test from 'node:test';

import OpenAI, {APIError, AuthenticationError, NotFoundError} from 'openai';

const client = new OpenAI({
  baseURL: `${process.env.TANDEM_GATEWAY}/v1`, apiKey: 'none', maxRetries: 0,
});
const model = (await client.models.list()).data[0].id;
const common = {model, prompt: 'Once upon a time', max_tokens: 24, seed: 5};

test('models', async () => {
  assert.equal((await client.models.retrieve(model)).id, model);
  await assert.rejects(client.models.retrieve('none'), NotFoundError);
});

test('a seed gives its text twice', async () => {
  const first = await client.completions.create(common);
  const second = await client.completions.create(common);
  assert.ok(first.choices[0].text);
  assert.equal(first.choices[0].text, second.choices[0].text);
  assert.equal(first.usage.completion_tokens, 24);
});

test('a stream has the same text, and usage at its end', async () => {
  const whole = await client.completions.create(common);
  const stream = await client.completions.create(
      {...common, stream: true, stream_options: {include_usage: true}});
  let text = '';
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.text ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].text);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test('an abort ends a stream', async () => {
  const stream = await client.completions.create(
      {...common, max_tokens: 500, stream: true});
  let chunks = 0;
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    if (++chunks === 3) stream.controller.abort();
  }
  assert.ok(chunks < 500);
});

test('logprobs', async () => {
  const answer = await client.completions.create({...common, logprobs: 2});
  const {tokens, token_logprobs: values} = answer.choices[0].logprobs;
  assert.equal(tokens.join(''), answer.choices[0].text);
  assert.ok(values.every((value) => value <= 0));
});

test('a prompt is echoed, whole and streamed', async () => {
  const plain = await client.completions.create({...common, logprobs: 1});
  const options = {...common, logprobs: 1, echo: true};
  const whole = await client.completions.create(options);
  const {text, logprobs} = whole.choices[0];
  assert.equal(text, common.prompt + plain.choices[0].text);
  assert.equal(logprobs.tokens.length, whole.usage.total_tokens);
  assert.equal(logprobs.token_logprobs[0], null);
  assert.ok(logprobs.token_logprobs.slice(1).every((value) => value <= 0));
  assert.deepEqual(logprobs.token_logprobs.slice(whole.usage.prompt_tokens),
                   plain.choices[0].logprobs.token_logprobs);
  const stream = await client.completions.create({...options, stream: true});
  let streamed = '';
  const values = [];
  for await (const {choices: [choice]} of stream) {
    if (!streamed) assert.equal(choice.text, common.prompt);
    streamed += choice.text;
    values.push(...choice.logprobs?.token_logprobs ?? []);
  }
  assert.equal(streamed, text);
  assert.deepEqual(values, logprobs.token_logprobs);
  const alone = await client.completions.create(
      {...common, echo: true, max_tokens: 0});
  assert.equal(alone.choices[0].text, common.prompt);
  assert.equal(alone.choices[0].finish_reason, 'length');
  assert.equal(alone.usage.completion_tokens, 0);
});

test('several choices, whole and streamed', async () => {
  const one = await client.completions.create(common);
  const whole = await client.completions.create({...common, n: 3});
  const texts = whole.choices.map((choice) => choice.text);
  assert.deepEqual(whole.choices.map((choice) => choice.index), [0, 1, 2]);
  assert.equal(texts[0], one.choices[0].text);
  assert.equal(new Set(texts).size, 3);
  assert.equal(whole.usage.prompt_tokens, one.usage.prompt_tokens);
  assert.equal(whole.usage.completion_tokens, 72);
  const stream = await client.completions.create({
    ...common, n: 3, stream: true, stream_options: {include_usage: true},
  });
  const streamed = ['', '', ''];
  let usage;
  for await (const chunk of stream) {
    for (const choice of chunk.choices) streamed[choice.index] += choice.text;
    usage = chunk.usage ?? usage;
  }
  assert.deepEqual(streamed, texts);
  assert.equal(usage.completion_tokens, 72);
});

test('errors are its own classes', async () => {
  const error = await client.completions.create({...common, n: 65})
      .then(() => null, (caught) => caught);
  assert.ok(error instanceof APIError);
  assert.equal(error.status, 400);
  assert.equal(error.param, 'n');
  await assert.rejects(
      client.completions.create({...common, model: 'none'}), NotFoundError);
  assert.ok(AuthenticationError);
});

test('a reply by a schema', async (context) => {
  const schema = {
    type: 'object', additionalProperties: false, required: ['word', 'age'],
    properties: {
      word: {enum: ['wolf', 'fox']},
      age: {type: 'integer', minimum: 0, maximum: 9},
    },
  };
  const options = {...common, max_tokens: 200, response_format: {
    type: 'json_schema', json_schema: {name: 'animal', strict: true, schema},
  }};
  const completion = await client.completions.create(options);
  const value = JSON.parse(completion.choices[0].text);
  assert.deepEqual(Object.keys(value), ['word', 'age']);
  assert.equal(completion.choices[0].finish_reason, 'stop');
  const info = await client.models.retrieve(model);
  if (!info.tandem.chat_template) {
    return context.skip('the model has no chat template');
  }
  const messages = [{role: 'user', content: 'An animal?'}];
  const chat = await client.chat.completions.create({
    model, messages, max_tokens: 200, seed: 5,
    response_format: options.response_format,
  });
  assert.ok(JSON.parse(chat.choices[0].message.content).word);
  const response = await client.responses.create({
    model, input: 'An animal?', max_output_tokens: 200,
    text: {format: {type: 'json_schema', name: 'animal', schema}},
  });
  assert.ok(JSON.parse(response.output_text).word);
});

test('chat', async (context) => {
  const info = await client.models.retrieve(model);
  if (!info.tandem.chat_template) {
    return context.skip('the model has no chat template');
  }
  const messages = [{role: 'user', content: 'Tell me of a king.'}];
  const options = {model, messages, max_tokens: 24, seed: 5};
  const whole = await client.chat.completions.create(options);
  const stream = client.chat.completions.stream({...options, stream: true});
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content,
               whole.choices[0].message.content);
  const response = await client.responses.create(
      {model, input: 'Tell me of a king.', max_output_tokens: 24});
  assert.equal(response.output_text, response.output[0].content[0].text);
  let streamed = '';
  for await (const event of await client.responses.create({
    model, input: 'Tell me of a king.', max_output_tokens: 24, stream: true,
  })) {
    if (event.type === 'response.output_text.delta') streamed += event.delta;
  }
  assert.ok(streamed);
});
