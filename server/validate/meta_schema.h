// What a schema must be like, as a schema.

#ifndef CONFSTREAM_SERVER_VALIDATE_META_SCHEMA_H_
#define CONFSTREAM_SERVER_VALIDATE_META_SCHEMA_H_

namespace confstream {

// Draft 7, but for what is not known here: the keywords of other drafts, which would be ignored by
// its rules, and with them what somebody meant to check.
inline constexpr char kMetaSchema[] = R"({
  "definitions": {
    "schemas": {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
    "schemaMap": {"type": "object", "additionalProperties": {"$ref": "#"}},
    "count": {"type": "integer", "minimum": 0},
    "names": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
    "type": {"enum": ["array", "boolean", "integer", "null", "number", "object", "string"]}
  },
  "type": ["object", "boolean"],
  "properties": {
    "$schema": {"enum": ["http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema",
                         "http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-06/schema"]},
    "$ref": {"type": "string"},
    "title": {"type": "string"},
    "description": {"type": "string"},
    "definitions": {"$ref": "#/definitions/schemaMap"},
    "$defs": {"$ref": "#/definitions/schemaMap"},

    "type": {"anyOf": [{"$ref": "#/definitions/type"},
                       {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/type"}}]},
    "enum": {"type": "array", "minItems": 1},
    "multipleOf": {"type": "number", "exclusiveMinimum": 0},
    "maximum": {"type": "number"},
    "exclusiveMaximum": {"type": "number"},
    "minimum": {"type": "number"},
    "exclusiveMinimum": {"type": "number"},
    "maxLength": {"$ref": "#/definitions/count"},
    "minLength": {"$ref": "#/definitions/count"},
    "pattern": {"type": "string"},
    "format": {"type": "string"},

    "items": {"anyOf": [{"$ref": "#"}, {"$ref": "#/definitions/schemas"}]},
    "additionalItems": {"$ref": "#"},
    "maxItems": {"$ref": "#/definitions/count"},
    "minItems": {"$ref": "#/definitions/count"},
    "uniqueItems": {"type": "boolean"},
    "contains": {"$ref": "#"},

    "properties": {"$ref": "#/definitions/schemaMap"},
    "patternProperties": {"$ref": "#/definitions/schemaMap"},
    "additionalProperties": {"$ref": "#"},
    "propertyNames": {"$ref": "#"},
    "required": {"$ref": "#/definitions/names"},
    "maxProperties": {"$ref": "#/definitions/count"},
    "minProperties": {"$ref": "#/definitions/count"},
    "dependencies": {
      "type": "object",
      "additionalProperties": {"anyOf": [{"$ref": "#"}, {"$ref": "#/definitions/names"}]}
    },

    "allOf": {"$ref": "#/definitions/schemas"},
    "anyOf": {"$ref": "#/definitions/schemas"},
    "oneOf": {"$ref": "#/definitions/schemas"},
    "not": {"$ref": "#"},
    "if": {"$ref": "#"},
    "then": {"$ref": "#"},
    "else": {"$ref": "#"},

    "id": false, "extends": false, "disallow": false, "divisibleBy": false,
    "$anchor": false, "$dynamicAnchor": false, "$dynamicRef": false, "$recursiveAnchor": false,
    "$recursiveRef": false, "dependentRequired": false, "dependentSchemas": false,
    "maxContains": false, "minContains": false, "prefixItems": false, "unevaluatedItems": false,
    "unevaluatedProperties": false
  }
})";

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_META_SCHEMA_H_
