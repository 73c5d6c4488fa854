//! A JSON Schema of the file, for editors. Generated from the table of keys. Pure.

use serde_json::{Map, Value, json};

use super::table::{Key, Kind, keys};

/// The schema, as JSON Schema 2020-12 has it.
pub fn schema() -> Value {
    let mut settings = Table::default();
    for key in keys() {
        settings.insert(&key.path, of(key));
    }
    let mut whole = settings.clone().into_schema();
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!("The configuration of catrain");
    whole["$defs"] = json!({ "settings": settings.into_schema() });
    whole["properties"]["profile"] = json!({
        "description": "Settings that count with --profile NAME",
        "type": "object",
        "additionalProperties": { "$ref": "#/$defs/settings" },
    });
    whole
}

/// Keys and tables by their names.
#[derive(Clone, Default)]
struct Table {
    keys: Map<String, Value>,
    tables: Vec<(String, bool, Self)>,
}

impl Table {
    fn insert(&mut self, path: &str, schema: Value) {
        let Some((name, rest)) = path.split_once('.') else {
            self.keys.insert(path.to_owned(), schema);
            return;
        };
        let (name, is_list) = match name.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let place = self.tables.iter().position(|(known, ..)| known == name);
        let place = place.unwrap_or_else(|| {
            self.tables
                .push((name.to_owned(), is_list, Self::default()));
            self.tables.len() - 1
        });
        self.tables[place].2.insert(rest, schema);
    }

    fn into_schema(self) -> Value {
        let mut properties = self.keys;
        for (name, is_list, table) in self.tables {
            let table = table.into_schema();
            let schema = match is_list {
                true => json!({ "type": "array", "items": table }),
                false => table,
            };
            properties.insert(name, schema);
        }
        json!({ "type": "object", "additionalProperties": false, "properties": properties })
    }
}

fn of(key: &Key) -> Value {
    let text = || json!({ "type": "string" });
    let listed = |item: Value| json!({ "anyOf": [item, { "type": "array", "items": item }] });
    let mut schema = match &key.kind {
        Kind::Zone | Kind::Source | Kind::Text | Kind::Secret | Kind::Levels => text(),
        Kind::Sources | Kind::Texts => listed(text()),
        Kind::BaseUrl => json!({ "type": "string", "pattern": "^https?://" }),
        Kind::Host => json!({ "type": "string", "pattern": "^[A-Za-z0-9.-]+$" }),
        Kind::Path => json!({ "type": "string", "pattern": "^/" }),
        Kind::OneOf(known) => json!({ "enum": known }),
        Kind::AnyOf(known) => listed(json!({ "enum": known })),
        Kind::Name => json!({ "type": "string", "pattern": "^[a-z0-9-]{1,40}$" }),
        Kind::Hours => json!({ "type": "string", "examples": ["22:00-07:00"] }),
        Kind::Time(..) => json!({ "type": "string", "examples": ["30s", "1h 30m"] }),
        Kind::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Kind::Share => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Places => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Flag(flag) => {
            let one = match flag.known.is_empty() {
                true => json!({ "type": ["string", "number"] }),
                false => json!({ "enum": flag.known }),
            };
            match flag.is_list {
                true => json!({ "anyOf": [
                    one,
                    { "type": "array", "items": one },
                    { "type": "object", "additionalProperties": { "type": "string" } },
                ] }),
                false => one,
            }
        }
    };
    schema["description"] = json!(format!("{} ({})", key.help, key.takes.as_str()));
    if let Some(default) = &key.default {
        schema["default"] = json!(default);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place_and_nothing_else_is_allowed() {
        let whole = schema();
        for key in keys() {
            let mut at = &whole;
            for name in key.path.split('.') {
                let (name, is_list) = match name.strip_suffix("[]") {
                    Some(name) => (name, true),
                    None => (name, false),
                };
                assert_eq!(at["additionalProperties"], false, "{}", key.path);
                at = &at["properties"][name];
                if is_list {
                    assert_eq!(at["type"], "array", "{}", key.path);
                    at = &at["items"];
                }
            }
            assert!(at["description"].is_string(), "{}: {at}", key.path);
        }
        let run = &whole["properties"]["run"]["properties"];
        assert_eq!(run["policy"]["enum"][0], "plan");
        assert_eq!(run["offline"]["type"], "boolean");
        assert!(whole["$defs"]["settings"]["properties"]["zone"].is_object());
    }
}
