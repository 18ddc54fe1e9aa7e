"""Functions that read an OpenAPI document and validate values against its schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from openapi_schema_validator import OAS31Validator

Document = dict[str, Any]


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, of_path in document["paths"].items():
        for method, operation in of_path.items():
            yield path, method, operation


def predictions(document: Document, name: str) -> Iterator[tuple[str, Document]]:
    """Return the predict operations of one model."""
    for path, method, operation in operations(document):
        if method == "post" and operation["tags"] == [name]:
            yield path, operation


def resolve(document: Document, value: Any) -> Any:
    """Return the component that a reference names."""
    while isinstance(value, dict) and "$ref" in value:
        found: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def closed(schema: Any) -> Any:
    """Return the schema with additional members forbidden."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def check(document: Document, schema: Any, value: Any) -> None:
    """Assert that a value matches the schema, without additional members."""
    components = {"schemas": closed(document["components"]["schemas"])}
    OAS31Validator({"allOf": [closed(schema)], "components": components}).validate(value)


def body_of(document: Document, operation: Document) -> Document:
    found: Document = operation["requestBody"]["content"]["application/json"]
    return found


def reply_of(document: Document, operation: Document, status: int = 200) -> Document:
    content = resolve(document, operation["responses"][str(status)])["content"]
    found: Document = content["application/json" if status == 200 else "application/problem+json"]
    return found
