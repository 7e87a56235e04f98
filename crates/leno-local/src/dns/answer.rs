//! One question, one answer.

use std::net::Ipv4Addr;
use std::str::FromStr as _;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::zone::{DOMAIN, Target, Zone};

/// Answers the message `request`. `limit` is the longest answer that the transport takes, in bytes: a longer one is cut and
/// marked, so that the client asks again by TCP. `None`: the bytes are no question (no answer is due).
#[must_use]
pub fn answer(request: &[u8], zone: &Zone, limit: usize) -> Option<Vec<u8>> {
    let question = Message::from_vec(request).ok()?;
    if question.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut reply = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    let mut limit = limit;
    if let Some(edns) = &question.edns {
        limit = limit.max(usize::from(edns.max_payload()).min(LONGEST_UDP));
        let mut own = Edns::new();
        own.set_max_payload(u16::try_from(LONGEST_UDP).unwrap_or(512));
        reply.set_edns(own);
    }
    fill(&question, zone, &mut reply);
    let bytes = reply.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    reply.answers.clear();
    reply.additionals.clear();
    reply.metadata.truncation = true;
    reply.to_vec().ok()
}

fn fill(question: &Message, zone: &Zone, reply: &mut Message) {
    if question.metadata.op_code != OpCode::Query {
        reply.metadata.response_code = ResponseCode::NotImp;
        return;
    }
    let [query] = question.queries.as_slice() else {
        reply.metadata.response_code = ResponseCode::FormErr;
        return;
    };
    reply.add_query(query.clone());
    if query.query_class != DNSClass::IN {
        reply.metadata.response_code = ResponseCode::Refused;
        return;
    }
    let name = text(&query.name);
    reply.metadata.authoritative = name == DOMAIN || name.ends_with(&format!(".{DOMAIN}"));
    let found = records(&query.name, &name, query.query_type, zone, 0, &mut reply.answers, &mut reply.additionals);
    if !found {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
}

/// Adds what `name` has of that type. False if there is no such name.
fn records(
    owner: &Name,
    name: &str,
    kind: RecordType,
    zone: &Zone,
    depth: usize,
    answers: &mut Vec<Record>,
    additionals: &mut Vec<Record>,
) -> bool {
    let Some(target) = zone.get(name) else {
        return pod_address(name).map_or_else(
            || zone.is_inner(name),
            |address| {
                if matches!(kind, RecordType::A | RecordType::ANY) {
                    answers.push(record(owner, RData::A(A(address))));
                }
                true
            },
        );
    };
    match target {
        Target::Addresses(addresses) => {
            if matches!(kind, RecordType::A | RecordType::ANY) {
                answers.extend(addresses.iter().map(|a| record(owner, RData::A(A(*a)))));
            }
        }
        Target::Alias(alias) => {
            let Ok(canonical) = Name::from_str(&format!("{alias}.")) else { return true };
            answers.push(record(owner, RData::CNAME(CNAME(canonical.clone()))));
            // An alias of an alias of itself: DNS allows writing it.
            if kind != RecordType::CNAME && depth < 8 {
                records(&canonical, alias, kind, zone, depth + 1, answers, additionals);
            }
        }
        Target::Servers(servers) => {
            if matches!(kind, RecordType::SRV | RecordType::ANY) {
                for (port, host) in servers {
                    let Ok(server) = Name::from_str(&format!("{host}.")) else { continue };
                    // Weight and priority as Kubernetes' DNS gives them for equals.
                    answers.push(record(owner, RData::SRV(SRV::new(0, 100, *port, server.clone()))));
                    if let Some(Target::Addresses(addresses)) = zone.get(host) {
                        additionals.extend(addresses.iter().map(|a| record(&server, RData::A(A(*a)))));
                    }
                }
            }
        }
    }
    true
}

/// `1-2-3-4.NAMESPACE.pod.cluster.local`, which Kubernetes answers without looking.
fn pod_address(name: &str) -> Option<Ipv4Addr> {
    let rest = name.strip_suffix(".pod.cluster.local")?;
    let (dashed, namespace) = rest.split_once('.')?;
    if namespace.contains('.') {
        return None;
    }
    dashed.replace('-', ".").parse().ok()
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL_SECONDS, data)
}

fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// Kubernetes' DNS lets names be kept for 30 s; here endpoints of headless services should be right at once.
const TTL_SECONDS: u32 = 1;
const LONGEST_UDP: usize = 1232;

#[cfg(test)]
mod tests;
