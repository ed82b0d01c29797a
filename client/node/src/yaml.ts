/**
 * Parsing of YAML with the package `yaml`, which the program has to have.
 *
 * @packageDocumentation
 */

import { parse, type DocumentOptions, type ParseOptions, type SchemaOptions, type ToJSOptions } from 'yaml';

import type { ConfigFile } from './snapshot.js';

/** What `yaml` takes to parse one document. */
export type YamlOptions = ParseOptions & DocumentOptions & SchemaOptions & ToJSOptions;

/**
 * The content of `file`, one YAML or JSON document, in JavaScript's own values. Throws a SyntaxError that names the file
 * and the place.
 */
export function parseYaml(file: ConfigFile, options: YamlOptions = {}): unknown {
  try {
    return parse(file.text(), options);
  } catch (error) {
    throw new SyntaxError(`${file.path}: ${(error as Error).message}`, { cause: error });
  }
}
