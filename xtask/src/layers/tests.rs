use super::check;
use serde_json::json;

#[test]
fn a_lower_layer_that_uses_a_higher_one_is_named() {
    let metadata = json!({"packages": [
        {"name": "leno-core", "dependencies": [{"name": "tokio", "kind": null}, {"name": "leno-kit", "kind": "dev"}]},
        {"name": "leno-proxy", "dependencies": [{"name": "leno-config", "kind": null}, {"name": "leno-core", "kind": null}]},
        {"name": "leno-new", "dependencies": []}
    ]});
    let problems = check(&metadata);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("leno-core uses tokio"));
    assert!(problems[1].contains("leno-proxy uses leno-config"));
    assert!(problems[2].contains("leno-new: not in the table"));
}
