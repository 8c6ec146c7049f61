// Grammars for compare_with_xgrammar.mjs, in what GBNF and XGrammar's EBNF have
// in common: neither "." nor an alternative without anything, and a rule a
// line. Text in escapes is GBNF's, so all are raw strings.

const r = String.raw;

const GBNF = {
  'arithmetic': r`
root ::= expression
expression ::= term (" "? [-+] " "? term)*
term ::= factor (" "? [*/] " "? factor)*
factor ::= number | name | "(" expression ")" | "-" factor
number ::= [0-9]+ ("." [0-9]+)?
name ::= [a-zA-Z_] [a-zA-Z0-9_]*
`,
  'a list of lines': r`
root ::= item+
item ::= ("- " | "* " | [1-9] [0-9]? ". ") [^\r\n]+ "\n"
`,
  'strings with escapes': r`
root ::= string (", " string)*
string ::= "\"" character* "\""
character ::= [^"\\\u0000-\u001f] | "\\" (["\\/bfnrt] | "u" hex hex hex hex)
hex ::= [0-9a-fA-F]
`,
  'nested brackets': r`
root ::= group+
group ::= "(" group* ")" | "[" group* "]" | "{" group* "}" | "<" word ">"
word ::= [a-z]+
`,
  'Greek and Cyrillic': r`
root ::= word (" " word)*
word ::= [\u0391-\u03a9\u03b1-\u03c9]+ | [\u0410-\u044f]+
`,
  'scripts of three and four bytes': r`
root ::= part (["、。 ] part)*
part ::= [\u3041-\u3096]+ | [\u4e00-\u4e3f\u65e0-\u671f]+ | [\U0001f600-\U0001f64f]+
`,
  'all but some characters': r`
root ::= "<" ([^<>&;] | "&" [a-z]+ ";")* ">"
`,
  'all but ASCII': r`
root ::= "x" [^\u0000-\u007f]+ "x"
`,
  'optional parts': r`
root ::= ("Dr. " | "Prof. ")? name (" " initial)? (" " name)+ (", " suffix)?
name ::= [A-Z] [a-z]+
initial ::= [A-Z] "."
suffix ::= "Jr." | "Sr." | "PhD" | "MD"
`,
  'repeated parts': r`
root ::= code{2,4} "/" tail
code ::= [A-Z]{3} "-"? [0-9]{1,5}
tail ::= ([a-z0-9]{4} "."){0,3} [a-z]{2,}
`,
  'many repetitions': r`
root ::= "[" [ab ]{3,200} "]" ("x" | "yz"){100,}
`,
  'CSV': r`
root ::= row+
row ::= field ("," field)* "\n"
field ::= [^",\r\n]* | "\"" ([^"] | "\"\"")* "\""
`,
  'dates and times': r`
root ::= date ([T ] time)?
date ::= [0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])
time ::= ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] (":" [0-5] [0-9] ("." [0-9]{1,6})?)? zone?
zone ::= "Z" | [-+] [0-9] [0-9] ":" [0-9] [0-9]
`,
  'JSON': r`
root ::= blank value blank
value ::= "null" | "true" | "false" | number | string | array | object
array ::= "[" blank (value (blank "," blank value)*)? blank "]"
object ::= "{" blank (member (blank "," blank member)*)? blank "}"
member ::= string blank ":" blank value
string ::= "\"" ([^"\\\u0000-\u001f] | "\\" escape)* "\""
escape ::= ["\\/bfnrt] | "u" [0-9a-fA-F]{4}
number ::= "-"? ("0" | [1-9] [0-9]*) fraction? exponent?
fraction ::= "." [0-9]+
exponent ::= [eE] [+-]? [0-9]+
blank ::= [ \t\r\n]*
`,
  'a choice of words': r`
root ::= "yes" | "no" | "yesterday" | "not yet" | "nothing" ("ness" | " at all")?
`,
  'right recursion': r`
root ::= "a" root "b" | "c" root | "ab"
`,
  'an ambiguous grammar': r`
root ::= sentence (" " sentence)*
sentence ::= any+ | words
words ::= word (" " word)*
word ::= [a-z]+
any ::= [a-z] | [a-m] | " "
`,
  'comments and names': r`
# The names have what names may have.
root ::= first-part second_part   # one after the other
first-part ::= "#" [#a-f]+        # no comment within quotes
second_part ::= (" | " | " # ") Third3
Third3 ::= [\]\[^-]+ | "\t\r\n\\"
`,
  'a query': r`
root ::= "SELECT " columns " FROM " name where? order? ";"
columns ::= "*" | column (", " column)*
column ::= name | ("COUNT" | "MIN" | "MAX") "(" (name | "*") ")"
where ::= " WHERE " condition (" AND " condition | " OR " condition)*
condition ::= name (" = " | " < " | " >= ") literal | "NOT " condition | "(" condition ")"
literal ::= "'" ([^'] | "''")* "'" | "-"? [0-9]+
order ::= " ORDER BY " name (" ASC" | " DESC")?
name ::= [a-z] [a-z_]*
`,
};

// XGrammar 0.1.27 takes the characters of a class for bytes, unless they are
// ASCII or the class is negated; as texts it knows all. So it is given each of
// them as a text.
const TEXT_OR_CLASS = /"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]/gu;
const CHARACTERS = /(\\U.{8}|\\u.{4}|.)(?:-(\\U.{8}|\\u.{4}|.))?/gu;

function codePoint(spelt) {
  return spelt.length > 2 && spelt.startsWith('\\') ?
      parseInt(spelt.slice(2), 16) : spelt.codePointAt(0);
}

function withoutWideClasses(text) {
  return text.replaceAll(TEXT_OR_CLASS, (part) => {
    const isWide = /\\U|\\u(?!00)|\P{ASCII}/u.test(part);
    if (part.startsWith('"') || !isWide) return part;
    const texts = [];
    for (const [, first, last = first] of part.slice(1, -1)
        .matchAll(CHARACTERS)) {
      for (let c = codePoint(first); c <= codePoint(last); ++c) {
        texts.push(`"\\U${c.toString(16).padStart(8, '0')}"`);
      }
    }
    return `(${texts.join(' | ')})`;
  });
}

// JSON Schemas and the same in GBNF, by hand, with our rules of white space
// (engine/grammar/README.md).
const JSON_RULES = r`
sp ::= ("" | " " | "\n" (" "{0,64} | "\t"{1,16}))
colon ::= ":" " "?
comma ::= "," sp
string ::= "\"" character* "\""
character ::= [^"\\\u0000-\u001f] | "\\" (["\\/bfnrt] | "u" code)
code ::= plain | [dD] [89abAB] hex hex "\\u" [dD] [c-fC-F] hex hex
plain ::= [0-9a-cA-CefEF] hex hex hex | [dD] [0-7] hex hex
hex ::= [0-9a-fA-F]
integer ::= "-"? ("0" | [1-9] [0-9]*)
number ::= integer ("." [0-9]+)? ([eE] [-+]? [0-9]{1,3})?
`;

const SCHEMAS = {
  'an object': {
    schema: {
      type: 'object', additionalProperties: false, required: ['name', 'age'],
      properties: {
        name: {type: 'string'}, age: {type: 'integer'}, ok: {type: 'boolean'},
      },
    },
    gbnf: r`
root ::= "{" sp "\"name\"" colon string comma "\"age\"" colon integer (comma "\"ok\"" colon ("true" | "false"))? sp "}"
`,
  },
  'an array': {
    schema: {
      type: 'array', minItems: 1, maxItems: 3,
      items: {anyOf: [{type: 'number'}, {enum: ['a', 'ab', null]}]},
    },
    gbnf: r`
root ::= "[" sp item (comma item){0,2} sp "]"
item ::= number | "\"a\"" | "\"ab\"" | "null"
`,
  },
  'any object': {
    schema: {type: 'object'},
    gbnf: r`
root ::= object
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" sp (member (comma member)* sp)? "}"
member ::= string colon value
array ::= "[" sp (value (comma value)* sp)? "]"
`,
  },
  'lengths and patterns': {
    schema: {
      type: 'array', minItems: 2, maxItems: 2, items: false,
      prefixItems: [
        {type: 'string', minLength: 2, maxLength: 40},
        {type: 'string', pattern: '^[A-Z]{2}-[0-9]+$'},
      ],
    },
    gbnf: r`
root ::= "[" sp "\"" character{2,40} "\"" comma "\"" [A-Z]{2} "-" [0-9]+ "\"" sp "]"
`,
  },
};

// {name, ours: {kind, text}, theirs: EBNF} each.
export const CASES = [
  ...Object.entries(GBNF).map(([name, text]) => ({
    name, ours: {kind: 'gbnf', text}, theirs: withoutWideClasses(text),
  })),
  ...Object.entries(SCHEMAS).map(([name, {schema, gbnf}]) => ({
    name: `schema: ${name}`,
    ours: {kind: 'json_schema', text: JSON.stringify(schema)},
    theirs: gbnf + JSON_RULES,
  })),
];

// Two that differ, which a comparison must find.
export const UNLIKE = {
  name: 'unlike', ours: {kind: 'gbnf', text: 'root ::= [0-9]+'},
  theirs: 'root ::= [0-8]+',
};
