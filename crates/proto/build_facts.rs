//! Turns proto/ecs-model.json into a static table: what proto cannot say about a shape's members.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::Value;

/// `pub static FACTS`: for every ECS shape that has any, its required members and the limits of the others.
pub fn table(root: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let model: Value = serde_json::from_slice(&fs::read(root.join("ecs-model.json"))?)?;
    let shapes = model["shapes"].as_object().ok_or("ecs-model.json has no shapes")?;
    let mut names: Vec<&String> = shapes.keys().collect();
    names.sort();
    let mut out = String::from(
        "/// Required members and limits of ECS's shapes, sorted by name.\npub static FACTS: &[crate::Facts] = &[\n",
    );
    for name in names {
        let required: Vec<&str> =
            shapes[name]["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let _ = writeln!(out, "    crate::Facts {{ shape: {name:?}, required: &{required:?}, limits: &[");
        for (member, fact) in shapes[name]["members"].as_object().into_iter().flatten() {
            if let Some(limit) = limit(fact) {
                let _ = writeln!(out, "        ({member:?}, {limit}),");
            }
        }
        out.push_str("    ] },\n");
    }
    out.push_str("];\n");
    Ok(out)
}

fn limit(fact: &Value) -> Option<String> {
    let values: Vec<&str> = fact["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (min, max) = (fact["min"].as_i64(), fact["max"].as_i64());
    let item = fact.get("member").and_then(limit);
    if values.is_empty() && min.is_none() && max.is_none() && item.is_none() {
        return None;
    }
    let item = item.map_or("None".to_owned(), |item| format!("Some(&{item})"));
    Some(format!("crate::Limit {{ values: &{values:?}, min: {min:?}, max: {max:?}, item: {item} }}"))
}
