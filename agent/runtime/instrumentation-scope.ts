/** What all that flowspan sends says of its instrumentation. */
import { SCHEMA_URL } from "../generated/semconv.ts";
import { VERSION } from "../shared/own-version.ts";

export const SCOPE = { name: "flowspan", version: VERSION, schemaUrl: SCHEMA_URL };
