//! YAML events into values with lines.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::scalar;
use crate::object::Lines;

/// A value and where its parts stood. Null fields are left out.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) lines: Lines,
}

/// Why a document could not be read; line and column from 1.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
    pub(super) hint: Option<&'static str>,
    /// Only because a line within brackets stands too far to the left.
    outdented: bool,
}

/// Parses one or more documents.
///
/// YAML wants lines within brackets further in than what they belong to; kubectl's reader does not mind, and many people write
/// `args: [` … `]` with the end under the beginning. Such lines are moved in, which changes no value and no line's number.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let fault = match parse_strictly(text) {
        Err(fault) if fault.outdented => fault,
        other => return other,
    };
    let (mut moved, mut at) = (text.to_owned(), fault.line);
    for _ in 0..MAX_REREAD / text.len().max(1) {
        let Some(start) = line_start(&moved, at) else { break };
        moved.insert_str(start, FAR_IN);
        match parse_strictly(&moved) {
            Err(next) if next.outdented && next.line > at => at = next.line,
            other => return other,
        }
    }
    Err(fault)
}

/// Where a line begins, counted from 1.
fn line_start(text: &str, line: u32) -> Option<usize> {
    let before = line.checked_sub(1)? as usize;
    if before == 0 { Some(0) } else { text.match_indices('\n').nth(before - 1).map(|(at, _)| at + 1) }
}

/// Further in than any line of an object.
const FAR_IN: &str =
    "                                                                                                    ";
/// How many bytes are read again, in all, for lines that are moved in.
const MAX_REREAD: usize = 32 << 20;

fn parse_strictly(text: &str) -> Result<Vec<Node>, Fault> {
    let mut builder = Builder { events: Parser::new_from_str(text), anchors: HashMap::new(), copied: 0 };
    let mut documents = Vec::new();
    while let Some(event) = builder.events.next_event() {
        match event? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::DocumentEnd, _) => builder.anchors.clear(),
            (Event::StreamEnd, _) => break,
            (event, span) => documents.push(builder.node(event, span, 0)?),
        }
    }
    Ok(documents)
}

/// How deep a document may nest: far beyond any object, far from the end of the stack.
const MAX_DEPTH: usize = 100;
/// How many nodes aliases may copy in one file, so that a few lines cannot fill the memory ("billion laughs").
const MAX_COPIED: usize = 100_000;

struct Builder<'t> {
    events: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    copied: usize,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.events.next_event() {
            Some(event) => Ok(event?),
            None => Err(Fault {
                line: 1,
                column: 1,
                message: "the document ends too early".to_owned(),
                hint: None,
                outdented: false,
            }),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(fault(span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar_value(&text, style, tag.as_deref()).map_err(|why| fault(span, why))?;
                (Node { value, lines: Lines { line: line(span), children: Vec::new() } }, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(span, depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(span, depth)?, anchor),
            other => return Err(fault(span, format!("unexpected {other:?}"))),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Fault> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(fault(span, "the alias names no anchor before it".to_owned()));
        };
        self.copied += size(&node.lines);
        if self.copied > MAX_COPIED {
            return Err(fault(span, format!("aliases copy more than {MAX_COPIED} nodes")));
        }
        Ok(node.clone())
    }

    fn sequence(&mut self, span: Span, depth: usize) -> Result<Node, Fault> {
        let (mut items, mut children) = (Vec::new(), Vec::new());
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Node { value: Value::Array(items), lines: Lines { line: line(span), children } });
            }
            let item = self.node(event, at, depth + 1)?;
            items.push(item.value);
            children.push(item.lines);
        }
    }

    fn mapping(&mut self, span: Span, depth: usize) -> Result<Node, Fault> {
        let mut fields: Vec<(String, Node)> = Vec::new();
        let mut seen: HashMap<String, u32> = HashMap::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merge = matches!(&event, Event::Scalar(t, ScalarStyle::Plain, _, None) if t.as_ref() == "<<");
            let key = match self.node(event, at, depth + 1)?.value {
                Value::String(key) => key,
                // What Go makes of them when it turns YAML into JSON.
                Value::Bool(key) => key.to_string(),
                Value::Number(key) => key.to_string(),
                Value::Null => "null".to_owned(),
                other => return Err(fault(at, format!("a key cannot be {}", scalar::describe(&other)))),
            };
            let (event, value_at) = self.next()?;
            let mut node = self.node(event, value_at, depth + 1)?;
            if merge {
                merged.push(node);
                continue;
            }
            node.lines.line = line(at);
            if let Some(first) = seen.insert(key.clone(), line(at)) {
                let mut fault =
                    fault(at, format!("the key `{key}` is there twice, first on line {first} of the document"));
                fault.hint = Some("remove one of them: which one holds would depend on the reader");
                return Err(fault);
            }
            fields.push((key, node));
        }
        for node in merged {
            merge_into(&mut fields, &mut seen, node).map_err(|why| fault(span, why))?;
        }
        let (mut map, mut children) = (Map::new(), Vec::new());
        for (key, node) in fields.into_iter().filter(|(_, node)| !node.value.is_null()) {
            map.insert(key, node.value);
            children.push(node.lines);
        }
        Ok(Node { value: Value::Object(map), lines: Lines { line: line(span), children } })
    }
}

/// `<<: *anchor` or `<<: [*a, *b]`: what is there already wins.
fn merge_into(fields: &mut Vec<(String, Node)>, seen: &mut HashMap<String, u32>, node: Node) -> Result<(), String> {
    match node.value {
        Value::Object(map) => {
            for ((key, value), lines) in map.into_iter().zip(node.lines.children) {
                if seen.insert(key.clone(), lines.line).is_none() {
                    fields.push((key, Node { value, lines }));
                }
            }
            Ok(())
        }
        Value::Array(items) => items
            .into_iter()
            .zip(node.lines.children)
            .try_for_each(|(value, lines)| merge_into(fields, seen, Node { value, lines })),
        other => Err(format!("`<<` merges an object, not {}", scalar::describe(&other))),
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let tag = tag.map(|t| if t.is_yaml_core_schema() { t.suffix.as_str() } else { "" });
    match (tag, style) {
        (None, ScalarStyle::Plain) => Ok(scalar::resolve(text)),
        (None | Some("" | "str" | "binary" | "timestamp"), _) => Ok(Value::String(text.to_owned())),
        (Some(tag), _) => {
            let value = scalar::resolve(text);
            let fits = match tag {
                "int" | "float" => value.is_number(),
                "bool" => value.is_boolean(),
                "null" => value.is_null(),
                _ => return Ok(Value::String(text.to_owned())),
            };
            if fits { Ok(value) } else { Err(format!("`{text}` is no !!{tag}")) }
        }
    }
}

fn size(lines: &Lines) -> usize {
    1 + lines.children.iter().map(size).sum::<usize>()
}

fn line(span: Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

fn fault(span: Span, message: String) -> Fault {
    let column = u32::try_from(span.start.col()).unwrap_or(u32::MAX).saturating_add(1);
    Fault { line: line(span), column, message, hint: None, outdented: false }
}

impl From<ScanError> for Fault {
    fn from(error: ScanError) -> Self {
        let marker = error.marker();
        let column = u32::try_from(marker.col()).unwrap_or(u32::MAX).saturating_add(1);
        let line = u32::try_from(marker.line()).unwrap_or(u32::MAX);
        let outdented = matches!(error.info(), "invalid indentation" | "invalid indentation in flow construct");
        Self { line, column, message: format!("not valid YAML: {}", error.info()), hint: None, outdented }
    }
}
