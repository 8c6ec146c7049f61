// The official client of OpenAI's API and tools, against the gateway at
// TANDEM_GATEWAY, whose model writes calls as that of Hermes does.

import assert from 'node:assert/strict';
import test from 'node:test';

import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: `${process.env.TANDEM_GATEWAY}/v1`, apiKey: 'none', maxRetries: 0,
});
const model = (await client.models.list()).data[0].id;
const parameters = {
  type: 'object', additionalProperties: false, required: ['animal', 'days'],
  properties: {
    animal: {enum: ['wolf', 'fox']},
    days: {type: 'integer', minimum: 1, maximum: 7},
  },
};
const tools = [{
  type: 'function',
  function: {name: 'hunt', description: 'Hunts.', parameters},
}];
const messages = [{role: 'user', content: 'Hunt the fox!'}];
const options = {
  model, messages, tools, tool_choice: 'required', seed: 5, max_tokens: 200,
  parallel_tool_calls: false,
};

function check(text) {
  const value = JSON.parse(text);
  assert.deepEqual(Object.keys(value), ['animal', 'days']);
  assert.ok(['wolf', 'fox'].includes(value.animal));
  assert.ok(Number.isInteger(value.days) && value.days >= 1 && value.days <= 7);
}

test('a call, whole and streamed', async () => {
  const whole = (await client.chat.completions.create(options)).choices[0];
  assert.equal(whole.finish_reason, 'tool_calls');
  assert.equal(whole.message.tool_calls.length, 1);
  const [call] = whole.message.tool_calls;
  assert.equal(call.type, 'function');
  assert.equal(call.function.name, 'hunt');
  assert.ok(call.id);
  check(call.function.arguments);
  const stream = client.chat.completions.stream({...options, stream: true});
  const final = (await stream.finalChatCompletion()).choices[0];
  assert.equal(final.finish_reason, 'tool_calls');
  assert.equal(final.message.tool_calls[0].function.arguments,
               call.function.arguments);
});

test('a tool by its name is called once', async () => {
  const {parallel_tool_calls: _, ...others} = options;
  for (const seed of [1, 2, 3]) {
    const {choices: [choice]} = await client.chat.completions.create({
      ...others, seed, tool_choice: {type: 'function', function: {name: 'hunt'}},
    });
    assert.equal(choice.message.tool_calls.length, 1);
    check(choice.message.tool_calls[0].function.arguments);
  }
});

test('its result goes on', async () => {
  const {message} = (await client.chat.completions.create(options)).choices[0];
  const answer = await client.chat.completions.create({
    ...options, tool_choice: 'none', max_tokens: 20,
    messages: [...messages, message, {
      role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'caught',
    }],
  });
  assert.equal(answer.choices[0].message.tool_calls, undefined);
  assert.ok(answer.choices[0].message.content);
});

test('responses', async () => {
  const flat = [{type: 'function', name: 'hunt', parameters, strict: true}];
  const asked = {
    model, input: 'Hunt the fox!', tools: flat, max_output_tokens: 200,
    tool_choice: {type: 'function', name: 'hunt'},
  };
  const response = await client.responses.create(asked);
  assert.deepEqual(response.tools, flat);
  assert.deepEqual(response.tool_choice, asked.tool_choice);
  assert.equal(response.parallel_tool_calls, true);
  const calls = response.output.filter((item) => item.type === 'function_call');
  assert.equal(calls.length, 1);
  const [call] = calls;
  assert.equal(call.name, 'hunt');
  check(call.arguments);
  let streamed = '';
  let done;
  for await (const event of await client.responses.create(
      {...asked, stream: true})) {
    if (event.type === 'response.function_call_arguments.delta') {
      streamed += event.delta;
    }
    if (event.type === 'response.completed') done = event.response;
  }
  check(streamed);
  assert.equal(done.output.find((item) => item.type === 'function_call')
                   .arguments, streamed);
  const answer = await client.responses.create({
    model, tools: flat, tool_choice: 'none', max_output_tokens: 20,
    input: [
      {role: 'user', content: 'Hunt the fox!'}, call,
      {type: 'function_call_output', call_id: call.call_id, output: 'caught'},
    ],
  });
  assert.ok(answer.output_text);
});

test('what is wrong has its place', async () => {
  const error = await client.chat.completions.create({
    ...options, tools: [{
      type: 'function',
      function: {name: 'hunt', parameters: {type: 'object', not: {}}},
    }],
  }).then(() => null, (caught) => caught);
  assert.equal(error.status, 400);
  assert.match(error.param, /^tools\[0\]\.function\.parameters/);
});
