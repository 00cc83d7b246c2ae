import { Ajv, type Options, type ValidateFunction } from 'ajv';

/** The options of all schemas: also of the package's own, which the build compiles (`scripts/bundle.mjs`). */
export const SCHEMA_OPTIONS = {
  allErrors: true,
  strict: true,
  allowUnionTypes: true,
  verbose: true,
  logger: false,
} satisfies Options;

const ajv = new Ajv(SCHEMA_OPTIONS);

/** Compiles a schema that a person writes. Throws where it is no schema. */
export function compileSchema<T>(schema: object): ValidateFunction<T> {
  try {
    return ajv.compile<T>(schema);
  } finally {
    // It keeps every schema otherwise, and one may come with each file that is read.
    ajv.removeSchema(schema);
  }
}
