//! Expressions of the Telemetry API: no panic and no runaway recursion, and what is read once is read again alike.
#![no_main]

use leno_core::cel::{Attribute, Facts, Message, Peer, Program, Value};
use libfuzzer_sys::fuzz_target;

struct Scene;

impl Facts for Scene {
    fn attribute(&self, attribute: Attribute) -> Option<Value> {
        match attribute {
            Attribute::ResponseCode => Some(Value::Int(503)),
            Attribute::RequestPath => Some(Value::Text("/a/b?c".to_owned())),
            Attribute::ConnectionMtls => Some(Value::Bool(true)),
            _ => None,
        }
    }

    fn header(&self, _: Message, name: &str) -> Option<&str> {
        (name == "x-a").then_some("a")
    }

    fn label(&self, _: Peer, name: &str) -> Option<&str> {
        (name == "app").then_some("web")
    }
}

fuzz_target!(|text: &str| {
    let Ok(program) = Program::parse(text) else { return };
    assert_eq!(program.eval(&Scene), program.eval(&Scene));
    program.headers(&mut Vec::new(), &mut Vec::new());
});
