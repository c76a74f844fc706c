//! YAML as LiveKit's configuration uses it: a tree whose leaves are kept as they were written, because `0123` may be a
//! secret and `7882-7892` a range.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Far above any real file. It also bounds what aliases of aliases multiply to.
const MAX_NODES: usize = 20_000;
const MAX_DEPTH: usize = 32;

/// A node of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Nothing was written, or `null` or `~`.
    Null,
    Text(String),
    List(Vec<Node>),
    /// In the order of the file. Keys are unique.
    Map(Vec<(String, Node)>),
}

/// Why a text is not a usable document, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    #[error("it is not valid YAML: {0}")]
    Syntax(String),
    #[error("line {line}: {name:?} is given twice")]
    Duplicate { line: usize, name: String },
    #[error("line {0}: only texts can be the names of values")]
    Name(usize),
    #[error("it is longer or deeper than any configuration")]
    TooLarge,
}

/// Reads the first document of `text`; later ones are ignored, as LiveKit does.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError::Syntax(error.to_string()))?;
        if let Some(document) = builder.take(event, span.start.line())? {
            return Ok(document);
        }
    }
    Ok(Node::Null)
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchored: HashMap<usize, Node>,
    nodes: usize,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(String, Node)>, name: Option<String> },
}

impl Builder {
    /// Answers with the document once it is complete.
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<Option<Node>, YamlError> {
        match event {
            Event::Scalar(text, style, anchor, _) => self.close(anchor, scalar(text, style), line),
            Event::Alias(anchor) => {
                // An anchor inside of itself is not known yet.
                let node = self.anchored.get(&anchor).cloned().unwrap_or(Node::Null);
                self.nodes += size(&node);
                self.close(0, node, line)
            }
            Event::SequenceStart(anchor, _) => self.open(anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(anchor, Content::Map { entries: Vec::new(), name: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, content }) = self.open.pop() else { return Ok(None) };
                let node = match content {
                    Content::List(items) => Node::List(items),
                    Content::Map { entries, .. } => Node::Map(entries),
                };
                self.close(anchor, node, line)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(None),
        }
    }

    fn open(&mut self, anchor: usize, content: Content) -> Result<Option<Node>, YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError::TooLarge);
        }
        self.open.push(Open { anchor, content });
        Ok(None)
    }

    /// Puts a complete node where it belongs.
    fn close(&mut self, anchor: usize, node: Node, line: usize) -> Result<Option<Node>, YamlError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(YamlError::TooLarge);
        }
        if anchor > 0 {
            self.nodes += size(&node);
            self.anchored.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => return Ok(Some(node)),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, name }) => match name.take() {
                Some(name) => entries.push((name, node)),
                None => {
                    let Node::Text(text) = node else { return Err(YamlError::Name(line)) };
                    if entries.iter().any(|(known, _)| *known == text) {
                        return Err(YamlError::Duplicate { line, name: text });
                    }
                    *name = Some(text);
                }
            },
        }
        Ok(None)
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Node {
    match (style, text.as_ref()) {
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Node::Null,
        _ => Node::Text(text.into_owned()),
    }
}

fn size(node: &Node) -> usize {
    match node {
        Node::Null | Node::Text(_) => 1,
        Node::List(items) => items.iter().map(size).sum::<usize>() + 1,
        Node::Map(entries) => entries.iter().map(|(_, node)| size(node)).sum::<usize>() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_stay_as_they_were_written() {
        let node =
            parse("keys:\n  one: 0123\n  two: 'null'\nrtc: {udp_port: 7882-7892}\nempty:\nlist: [a, 1]\n");
        let map = |entries: &[(&str, Node)]| {
            Node::Map(entries.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect())
        };
        let expected = map(&[
            ("keys", map(&[("one", text("0123")), ("two", text("null"))])),
            ("rtc", map(&[("udp_port", text("7882-7892"))])),
            ("empty", Node::Null),
            ("list", Node::List(vec![text("a"), text("1")])),
        ]);
        assert_eq!(node, Ok(expected));
        assert_eq!(parse(""), Ok(Node::Null));
    }

    #[test]
    fn what_is_not_a_configuration_is_refused() {
        assert!(matches!(parse("a: [1"), Err(YamlError::Syntax(_))));
        assert_eq!(parse("a: 1\na: 2\n"), Err(YamlError::Duplicate { line: 2, name: "a".into() }));
        assert_eq!(parse("[1]: 2\n"), Err(YamlError::Name(1)));
        assert_eq!(parse(&"[".repeat(100)), Err(YamlError::TooLarge));
    }

    #[test]
    fn aliases_cannot_multiply_without_end() {
        let mut bomb = "a0: &a0 [x, x]\n".to_owned();
        for level in 1..40 {
            bomb += &format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1);
        }
        assert_eq!(parse(&bomb), Err(YamlError::TooLarge));
        assert_eq!(parse("a: &x 1\nb: *x\n").map(|node| size(&node)), Ok(3));
    }

    fn text(text: &str) -> Node {
        Node::Text(text.into())
    }
}
