/**
 * Checks the shape of one model file, field by field, before anything is made from it.
 *
 * Pure: text in, problems out. It knows the weaver registry's fields and rules and nothing of other files; what
 * needs the whole registry (duplicates, references) is resolve.ts's.
 */
import { INSTRUMENTS, type Problem, SPAN_KINDS, STABILITIES } from "./types.ts";

type Fields = Record<string, unknown>;

const GROUP_KEYS = ["id", "type", "brief", "note", "stability", "attributes", "annotations"];
const KEYS_OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  attribute_group: GROUP_KEYS,
  metric: [...GROUP_KEYS, "extends", "metric_name", "instrument", "unit", "entity_associations"],
  entity: [...GROUP_KEYS, "name"],
  event: [...GROUP_KEYS, "extends", "name"],
  span: [...GROUP_KEYS, "extends", "span_kind"],
};
const DEFINITION_KEYS = ["id", "type", "brief", "note", "stability", "examples", "requirement_level", "annotations"];
const REFERENCE_KEYS = ["ref", "brief", "note", "examples", "requirement_level", "annotations"];
const MEMBER_KEYS = ["id", "value", "brief", "note", "stability", "annotations"];
const MEMBER_REMARKS = ["where", "severity", "remedy"];
const METRIC_REMARKS = ["wrong", "obi", "netobserv", "proposal", "remark"];
const SPAN_REMARKS = ["name"];
/** Of a finding; findings.ts checks what they say. */
const EVENT_REMARKS = [
  ...["subject", "severity", "start_after", "end_after", "thresholds"],
  ...["cause", "command", "runbook"],
];
const ATTRIBUTE_REMARKS = ["values", "defined_by"];
/** What an example of each type is. */
const EXAMPLES: Readonly<Record<string, (example: unknown) => boolean>> = {
  string: isText,
  int: Number.isInteger,
  double: (example) => typeof example === "number",
  boolean: (example) => typeof example === "boolean",
  "string[]": (example) => Array.isArray(example) && example.every(isText),
};
const PLAIN_TYPES = Object.keys(EXAMPLES);

/** The parts of UCUM that telemetry uses, base units first; anything else in braces is an annotation. */
const UNIT = /^(1|s|By|%|\{[a-z_]+\})(\/(s|By|\{[a-z_]+\}))?$/;
const NAME = /^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$/;

export class Checker {
  readonly problems: Problem[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  file(document: unknown): void {
    if (!this.#object(document, "", ["groups", "imports"])) return;
    this.#imports(document.imports);
    if (!Array.isArray(document.groups)) {
      this.#report("groups", "is not a list", "start the file with `groups:` and a list of groups");
      return;
    }
    document.groups.forEach((group: unknown, index) => {
      this.#group(group, `groups[${index}]`);
    });
  }

  /** Signals of the conventions that are wanted whole, by name. */
  #imports(imports: unknown): void {
    if (imports === undefined || !this.#object(imports, "imports", ["metrics", "events", "entities"])) return;
    for (const [kind, names] of Object.entries(imports)) this.#names(names, `imports.${kind}`);
  }

  #group(group: unknown, path: string): void {
    const type = isFields(group) ? group.type : undefined;
    const keys = typeof type === "string" ? KEYS_OF_TYPE[type] : undefined;
    if (keys === undefined) {
      this.#report(`${path}.type`, `is ${say(type)}`, `use one of ${Object.keys(KEYS_OF_TYPE).join(", ")}`);
      return;
    }
    if (!this.#object(group, path, keys)) return;
    this.#text(group, path, "id", "give the group an id that no other group has");
    this.#text(group, path, "brief", "say in one sentence what it is");
    if (type !== "attribute_group") this.#oneOf(group, path, "stability", STABILITIES);
    if (type === "metric") this.#metric(group, path);
    if (type === "entity" || type === "event") this.#name(group, path, "name");
    if (type === "event") this.#remarks(group, path, EVENT_REMARKS);
    if (type === "span") this.#span(group, path);
    this.#attributes(group.attributes, `${path}.attributes`);
    if (type !== "metric" && type !== "event" && group.attributes === undefined && group.extends === undefined) {
      this.#report(`${path}.attributes`, "is missing", "a group of this type has attributes or extends one that has");
    }
  }

  #span(group: Fields, path: string): void {
    if (typeof group.id !== "string" || !group.id.startsWith("span.flowspan.")) {
      this.#report(`${path}.id`, `is ${say(group.id)}`, "begin it with span.flowspan.");
    }
    // Not the group's own name, which no other group may have: the kinds of a span share one.
    const { flowspan } = isFields(group.annotations) ? group.annotations : {};
    const remedy = "give the span a name of low cardinality";
    this.#text(isFields(flowspan) ? flowspan : {}, `${path}.annotations.flowspan`, "name", remedy);
    this.#remarks(group, path, SPAN_REMARKS);
    this.#oneOf(group, path, "span_kind", SPAN_KINDS);
  }

  #metric(group: Fields, path: string): void {
    this.#name(group, path, "metric_name");
    this.#oneOf(group, path, "instrument", INSTRUMENTS);
    const unit = group.unit;
    if (typeof unit !== "string" || !UNIT.test(unit)) {
      this.#report(
        `${path}.unit`,
        `is ${say(unit)}`,
        'use a UCUM unit in base form: s, By, "1", "{thing}", or one per other',
      );
    }
    if (group.entity_associations !== undefined) this.#names(group.entity_associations, `${path}.entity_associations`);
    this.#remarks(group, path, METRIC_REMARKS);
  }

  #names(names: unknown, path: string): void {
    if (Array.isArray(names) && names.length > 0 && names.every(isText)) return;
    this.#report(path, `is ${say(names)}`, "list names");
  }

  #attributes(list: unknown, path: string): void {
    if (list === undefined) return;
    if (!Array.isArray(list)) {
      this.#report(path, "is not a list", "write one `- ref:` or `- id:` for each attribute");
      return;
    }
    list.forEach((attribute: unknown, index) => {
      const at = `${path}[${index}]`;
      if (isFields(attribute) && "ref" in attribute) this.#reference(attribute, at);
      else this.#definition(attribute, at);
    });
    const names = list.map((attribute: unknown) => (isFields(attribute) ? (attribute.ref ?? attribute.id) : undefined));
    names.forEach((name, index) => {
      if (name === undefined || names.indexOf(name) === index) return;
      this.#report(`${path}[${index}]`, `is ${say(name)} again`, "name each attribute once in a group");
    });
  }

  #reference(attribute: Fields, path: string): void {
    this.#object(attribute, path, REFERENCE_KEYS);
    this.#name(attribute, path, "ref");
    this.#level(attribute, path);
    this.#remarks(attribute, path, ATTRIBUTE_REMARKS);
  }

  #definition(attribute: unknown, path: string): void {
    if (!this.#object(attribute, path, DEFINITION_KEYS)) return;
    this.#name(attribute, path, "id");
    this.#text(attribute, path, "brief", "say in one sentence what it is");
    this.#oneOf(attribute, path, "stability", STABILITIES);
    this.#level(attribute, path);
    const type = attribute.type;
    if (isFields(type)) this.#members(type, `${path}.type`);
    else if (typeof type !== "string" || !PLAIN_TYPES.includes(type)) {
      this.#report(
        `${path}.type`,
        `is ${say(type)}`,
        `use one of ${PLAIN_TYPES.join(", ")}, or \`members\` for an enum`,
      );
    } else this.#examples(attribute.examples, type, `${path}.examples`);
  }

  /** Texts need examples, others may have some; an example of a list is a list. */
  #examples(examples: unknown, type: string, path: string): void {
    const remedy = type === "string[]" ? "write a list of lists: [[one, other]]" : `write a list of type ${type}`;
    if (examples === undefined) {
      if (type.startsWith("string")) this.#report(path, "is missing", remedy);
    } else if (!Array.isArray(examples) || !examples.every(EXAMPLES[type] ?? isText)) {
      this.#report(path, `is ${say(examples)}`, remedy);
    }
  }

  #members(type: Fields, path: string): void {
    if (!this.#object(type, path, ["members"])) return;
    const members = type.members;
    if (!Array.isArray(members) || members.length === 0) {
      this.#report(`${path}.members`, "is empty", "list the members, each with id, value and brief");
      return;
    }
    members.forEach((member: unknown, index) => {
      const at = `${path}.members[${index}]`;
      if (!this.#object(member, at, MEMBER_KEYS)) return;
      this.#text(member, at, "id", "name the member");
      this.#text(member, at, "value", "say what stands in the telemetry");
      this.#text(member, at, "brief", "say in one sentence what it means");
      this.#oneOf(member, at, "stability", STABILITIES);
      this.#remarks(member, at, MEMBER_REMARKS);
    });
  }

  #level(attribute: Fields, path: string): void {
    const level = attribute.requirement_level;
    if (level === undefined || level === "required" || level === "recommended" || level === "opt_in") return;
    if (isFields(level) && typeof level.conditionally_required === "string") return;
    this.#report(
      `${path}.requirement_level`,
      `is ${say(level)}`,
      "use required, recommended, opt_in or `conditionally_required: if …`",
    );
  }

  #remarks(fields: Fields, path: string, keys: readonly string[]): void {
    const annotations = fields.annotations;
    if (annotations === undefined) return;
    const at = `${path}.annotations`;
    if (this.#object(annotations, at, ["flowspan"])) this.#object(annotations.flowspan, `${at}.flowspan`, keys);
  }

  #name(fields: Fields, path: string, key: string): void {
    const name = fields[key];
    if (typeof name === "string" && NAME.test(name)) return;
    this.#report(`${path}.${key}`, `is ${say(name)}`, "use lower-case words joined by dots and underscores");
  }

  #text(fields: Fields, path: string, key: string, remedy: string): void {
    const text = fields[key];
    if (typeof text === "string" && text.trim() !== "") return;
    this.#report(`${path}.${key}`, text === undefined ? "is missing" : `is ${say(text)}`, remedy);
  }

  #oneOf(fields: Fields, path: string, key: string, allowed: readonly string[]): void {
    const value = fields[key];
    if (typeof value === "string" && allowed.includes(value)) return;
    const message = value === undefined ? "is missing" : `is ${say(value)}`;
    this.#report(`${path}.${key}`, message, `use one of ${allowed.join(", ")}`);
  }

  /** Reports what is no object and every key that is not in `keys`; true if it is an object at all. */
  #object(value: unknown, path: string, keys: readonly string[]): value is Fields {
    if (!isFields(value)) {
      this.#report(path, `is ${say(value)}`, `write an object with the fields ${keys.join(", ")}`);
      return false;
    }
    for (const key of Object.keys(value)) {
      if (keys.includes(key)) continue;
      this.#report(
        path === "" ? key : `${path}.${key}`,
        "is not a known field",
        `remove it, or use one of ${keys.join(", ")}`,
      );
    }
    return true;
  }

  #report(path: string, message: string, remedy: string): void {
    this.problems.push({ file: this.#file, path, message, remedy });
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function say(value: unknown): string {
  return value === undefined ? "missing" : JSON.stringify(value);
}
