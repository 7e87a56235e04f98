//! From text to [`Node`]: a scanner and a parser that descends, both bounded.

use regex::Regex;

use super::{Attribute, CelError, Comparison, Function, Message, Node, Peer, Value};

/// Longest expression, bytes.
pub const MAX_LENGTH: usize = 4096;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 32;
/// Largest compiled pattern of `matches`, bytes.
const MAX_PATTERN: usize = 1 << 20;

pub(super) fn expression(text: &str) -> Result<Node, CelError> {
    if text.len() > MAX_LENGTH {
        return Err(CelError(format!("is longer than {MAX_LENGTH} bytes")));
    }
    let mut parser = Parser { tokens: scan(text)?, at: 0, depth: 0 };
    let node = parser.choose()?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(CelError(format!("has {} where it should end", token.show()))),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Int(i64),
    Sign(&'static str),
}

impl Token {
    fn show(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Text(text) => format!("the text `{text}`"),
            Self::Int(n) => format!("`{n}`"),
            Self::Sign(sign) => format!("`{sign}`"),
        }
    }
}

/// Longer ones first.
const SIGNS: [&str; 19] =
    ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ".", ",", "?", ":", "+", "-"];

fn scan(text: &str) -> Result<Vec<Token>, CelError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let number =
                rest[..end].parse().map_err(|_| CelError(format!("has the number {}, too large", &rest[..end])))?;
            tokens.push(Token::Int(number));
            rest = &rest[end..];
        } else if first == '"' || first == '\'' {
            let (value, after) = quoted(rest, first)?;
            tokens.push(Token::Text(value));
            rest = after;
        } else if let Some(sign) = SIGNS.into_iter().find(|s| rest.starts_with(s)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            return Err(CelError(format!("has `{first}`, which is not honoured in expressions")));
        }
    }
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), CelError> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(c @ ('\\' | '"' | '\'')) => value.push(c),
                // As a regular expression writes it; CEL would refuse it, Istio's users quote it once.
                Some(c) => value.extend(['\\', c]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err(CelError("has a text that does not end".to_owned()))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, sign: &str) -> Result<(), CelError> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> CelError {
        match self.peek() {
            Some(token) => CelError(format!("has {} where {wanted} should be", token.show())),
            None => CelError(format!("ends where {wanted} should be")),
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, CelError>) -> Result<T, CelError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CelError(format!("is nested deeper than {MAX_DEPTH}")));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn choose(&mut self) -> Result<Node, CelError> {
        self.deeper(|p| {
            let condition = p.or()?;
            if !p.take("?") {
                return Ok(condition);
            }
            let yes = p.choose()?;
            p.expect(":")?;
            Ok(Node::Choose(Box::new([condition, yes, p.choose()?])))
        })
    }

    fn or(&mut self) -> Result<Node, CelError> {
        let mut node = self.and()?;
        for _ in 0..MAX_LENGTH {
            if !self.take("||") {
                break;
            }
            node = self.grown(node, Self::and, Node::Or)?;
        }
        Ok(node)
    }

    fn and(&mut self) -> Result<Node, CelError> {
        let mut node = self.relation()?;
        for _ in 0..MAX_LENGTH {
            if !self.take("&&") {
                break;
            }
            node = self.grown(node, Self::relation, Node::And)?;
        }
        Ok(node)
    }

    /// A chain is a tree that grows to the left: as deep as it is long, so its length counts as depth.
    fn grown(
        &mut self,
        left: Node,
        right: fn(&mut Self) -> Result<Node, CelError>,
        join: fn(Box<Node>, Box<Node>) -> Node,
    ) -> Result<Node, CelError> {
        let right = right(self)?;
        if height(&left) >= MAX_DEPTH {
            return Err(CelError(format!("joins more than {MAX_DEPTH} parts")));
        }
        Ok(join(Box::new(left), Box::new(right)))
    }

    fn relation(&mut self) -> Result<Node, CelError> {
        let left = self.sum()?;
        const COMPARISONS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        for (sign, how) in COMPARISONS {
            if self.take(sign) {
                return Ok(Node::Compare(how, Box::new(left), Box::new(self.sum()?)));
            }
        }
        if self.peek() == Some(&Token::Name("in".to_owned())) {
            self.at += 1;
            return Ok(Node::In(Box::new(left), Box::new(self.sum()?)));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Node, CelError> {
        let mut node = self.unary()?;
        while self.take("+") {
            node = self.grown(node, Self::unary, Node::Add)?;
        }
        Ok(node)
    }

    fn unary(&mut self) -> Result<Node, CelError> {
        if self.take("!") {
            return self.deeper(|p| Ok(Node::Not(Box::new(p.unary()?))));
        }
        if self.take("-") {
            return match self.next() {
                Some(Token::Int(n)) => Ok(Node::Value(Value::Int(-n))),
                _ => Err(CelError("has a `-` that is no number's".to_owned())),
            };
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Node, CelError> {
        let mut node = self.primary()?;
        while self.take(".") {
            let Some(Token::Name(method)) = self.next() else {
                return Err(CelError("has a `.` without a name".to_owned()));
            };
            self.expect("(")?;
            node = self.method(node, &method)?;
        }
        Ok(node)
    }

    fn method(&mut self, on: Node, name: &str) -> Result<Node, CelError> {
        if height(&on) >= MAX_DEPTH {
            return Err(CelError(format!("chains more than {MAX_DEPTH} calls")));
        }
        if name == "size" {
            self.expect(")")?;
            return Ok(Node::Size(Box::new(on)));
        }
        let with = self.choose()?;
        self.expect(")")?;
        let function = match name {
            "startsWith" => Function::StartsWith,
            "endsWith" => Function::EndsWith,
            "contains" => Function::Contains,
            "matches" => return matches(on, &with),
            other => return Err(CelError(format!("calls `{other}()`, which is not honoured"))),
        };
        Ok(Node::Call(function, Box::new(on), Box::new(with)))
    }

    fn primary(&mut self) -> Result<Node, CelError> {
        match self.next() {
            Some(Token::Int(n)) => Ok(Node::Value(Value::Int(n))),
            Some(Token::Text(text)) => Ok(Node::Value(Value::Text(text))),
            Some(Token::Sign("(")) => {
                let inner = self.choose()?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Sign("[")) => self.list(),
            Some(Token::Name(name)) => self.named(&name),
            Some(Token::Sign(_)) | None => {
                self.at = self.at.saturating_sub(1);
                Err(self.unexpected("a value"))
            }
        }
    }

    fn list(&mut self) -> Result<Node, CelError> {
        let mut items = Vec::new();
        if self.take("]") {
            return Ok(Node::List(items));
        }
        loop {
            items.push(self.choose()?);
            if self.take("]") {
                return Ok(Node::List(items));
            }
            self.expect(",")?;
        }
    }

    fn named(&mut self, name: &str) -> Result<Node, CelError> {
        match name {
            "true" => return Ok(Node::Value(Value::Bool(true))),
            "false" => return Ok(Node::Value(Value::Bool(false))),
            _ => {}
        }
        if self.take("(") {
            let inner = self.choose()?;
            self.expect(")")?;
            return function(name, inner);
        }
        // Dots that lead to a method end the attribute: a method has parentheses.
        let mut path = name.to_owned();
        while let (Some(Token::Sign(".")), Some(Token::Name(part))) = (self.peek(), self.tokens.get(self.at + 1)) {
            if self.tokens.get(self.at + 2) == Some(&Token::Sign("(")) {
                break;
            }
            path.push('.');
            path.push_str(part);
            self.at += 2;
        }
        if self.take("[") {
            let Some(Token::Text(key)) = self.next() else {
                return Err(CelError(format!("has no text as the key of `{path}[…]`")));
            };
            self.expect("]")?;
            return keyed(&path, &key);
        }
        // `request.headers.host` is a header too, as is a label without special characters.
        if let Some((map, key)) = path.rsplit_once('.')
            && let Ok(node) = keyed(map, key)
        {
            return Ok(node);
        }
        Attribute::named(&path)
            .map(Node::Attribute)
            .ok_or_else(|| CelError(format!("asks for `{path}`, which is not honoured")))
    }
}

fn function(name: &str, inner: Node) -> Result<Node, CelError> {
    let inner = Box::new(inner);
    match name {
        "has" => match *inner {
            Node::Attribute(_) | Node::Header(..) | Node::Label(..) => Ok(Node::Has(inner)),
            _ => Err(CelError("has `has()` of something that is no attribute".to_owned())),
        },
        "string" => Ok(Node::ToText(inner)),
        "int" => Ok(Node::ToInt(inner)),
        "size" => Ok(Node::Size(inner)),
        "duration" => match *inner {
            Node::Value(Value::Text(text)) => duration(&text)
                .map(|n| Node::Value(Value::Int(n)))
                .ok_or_else(|| CelError(format!("has the duration `{text}`: write 1h, 1m, 1s or 1ms"))),
            _ => Err(CelError("has a `duration()` of something that is no text".to_owned())),
        },
        other => Err(CelError(format!("calls `{other}()`, which is not honoured"))),
    }
}

fn keyed(path: &str, key: &str) -> Result<Node, CelError> {
    let path = path.strip_prefix("filter_state.").unwrap_or(path);
    Ok(match path {
        "request.headers" => Node::Header(Message::Request, key.to_ascii_lowercase()),
        "response.headers" => Node::Header(Message::Response, key.to_ascii_lowercase()),
        "downstream_peer.labels" => Node::Label(Peer::Downstream, key.to_owned()),
        "upstream_peer.labels" => Node::Label(Peer::Upstream, key.to_owned()),
        other => return Err(CelError(format!("asks for `{other}['{key}']`, which is not honoured"))),
    })
}

fn matches(on: Node, with: &Node) -> Result<Node, CelError> {
    let Node::Value(Value::Text(pattern)) = with else {
        return Err(CelError("has `matches()` of something that is no text".to_owned()));
    };
    let compiled = regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
    let compiled: Regex = compiled
        .map_err(|_| CelError(format!("has `{pattern}`, which is no regular expression, or too large a one")))?;
    Ok(Node::Matches(Box::new(on), compiled))
}

/// Nanoseconds.
fn duration(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..end].parse().ok()?;
    let unit = match &text[end..] {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" => 1000,
        "ns" => 1,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// How far the tree goes down on the side that chains grow on.
fn height(mut node: &Node) -> usize {
    let mut height = 0;
    loop {
        node = match node {
            Node::And(a, _) | Node::Or(a, _) | Node::Add(a, _) | Node::Call(_, a, _) => a,
            Node::Matches(a, _) | Node::Size(a) => a,
            _ => return height,
        };
        height += 1;
    }
}
