//! `leno viz`: what the mesh does now, from leno-viz.

mod authz;
mod list;
mod routes;
mod rows;
mod tap;
mod top;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use leno_viz::model::{Authz, DEFAULT_WINDOW, Edges, Kind, NotAKind, Question, Resource, Routes, Stat, parse_duration};
use serde::de::DeserializeOwned;

use super::{Globals, Output};
use crate::access::{self, Access, System};
use crate::table::{Live, Screen};

pub(crate) use rows::{edges_table, stat_table};

/// Shows golden signals and who talks to whom.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Success rate, requests a second and latencies: of workloads as they were asked, of services as their callers saw.
    Stat(Ask),
    /// Who talks to whom, and whether it is secured.
    #[command(visible_alias = "edge")]
    Edges(Ask),
    /// Success rate, requests a second and latencies of each route: of what is asked, or with --to of what it asks.
    #[command(visible_alias = "route")]
    Routes(Ask),
    /// What each authorization policy let pass and denied, as the callees' sidecars judged.
    Authz(Ask),
    List(list::Args),
    Tap(tap::Args),
    Top(top::Args),
    Install(super::install::VizArgs),
    Dashboard(super::dashboard::Args),
}

#[derive(clap::Args)]
struct Ask {
    /// ns, deploy, sts, ds, job, pod or svc (also their plural and long names), or KIND/NAME; for stat also route.
    kind: String,
    /// Only this one.
    name: Option<String>,
    /// Namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// All namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How far back: 30s, 5m, 1h.
    #[arg(short = 't', long = "time-window", value_parser = parse_duration, default_value = "1m")]
    window: Duration,
    /// Only traffic from here: KIND/NAME[.NAMESPACE].
    #[arg(long)]
    from: Option<Resource>,
    /// Only traffic to here; the rows are the callers then: KIND/NAME[.NAMESPACE].
    #[arg(long)]
    to: Option<Resource>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Refresh in place every second, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
}

impl Ask {
    fn question(&self) -> anyhow::Result<Question> {
        let (kind, name) = match self.kind.split_once('/') {
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (self.kind.as_str(), self.name.clone()),
        };
        // Routes are those of services; their names are looked at afterwards.
        let (kind, name) = if is_route(kind) { ("svc", None) } else { (kind, name) };
        let kind: Kind = kind.parse().map_err(|e: NotAKind| anyhow::anyhow!("{e}"))?;
        anyhow::ensure!(self.window >= Duration::from_secs(1), "--time-window must be at least 1s");
        // Namespaces are in no namespace.
        let everywhere = self.all_namespaces || kind == Kind::Namespace;
        Ok(Question {
            kind,
            namespace: (!everywhere).then(|| self.namespace.clone()),
            name,
            window: self.window,
            from: self.from.clone(),
            to: self.to.clone(),
        })
    }

    /// The name of a route, if routes are asked for: `stat routes`, `stat route/NAME`.
    fn route(&self) -> Option<Option<&str>> {
        let (kind, name) =
            self.kind.split_once('/').map_or((&*self.kind, self.name.as_deref()), |(kind, name)| (kind, Some(name)));
        is_route(kind).then_some(name)
    }
}

fn is_route(kind: &str) -> bool {
    matches!(kind, "route" | "routes")
}

/// Runs it.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    if let What::Install(args) = &args.what {
        return super::install::viz(args, globals);
    }
    if let What::Dashboard(args) = &args.what {
        return super::dashboard::run(args, globals);
    }
    let mesh = access::connect(globals)?;
    let mesh = mesh.as_ref();
    if let What::Tap(args) = &args.what {
        return tap::run(args, mesh);
    }
    if let What::Top(args) = &args.what {
        return top::run(args, mesh);
    }
    if let What::List(args) = &args.what {
        return list::run(args, mesh);
    }
    match args.what {
        What::Install(_) | What::Dashboard(_) | What::Tap(_) | What::Top(_) | What::List(_) => Ok(ExitCode::SUCCESS),
        What::Stat(ask) if ask.route().is_some() => {
            repeat(&ask, |question, screen| show_routes(mesh, &ask, question, screen))
        }
        What::Stat(ask) => repeat(&ask, |question, screen| {
            let answer = stat(mesh, question)?;
            if ask.output.print(&rows::stat_json(&answer))? {
                return Ok(String::new());
            }
            Ok(stat_table(&answer, question.namespace.is_none(), ask.output == Output::Wide, screen))
        }),
        What::Routes(ask) => repeat(&ask, |question, screen| show_routes(mesh, &ask, question, screen)),
        What::Authz(ask) => repeat(&ask, |question, screen| {
            let answer: Authz = get(mesh, "/api/v1/authz", question)?;
            if ask.output.print(&answer.rows)? {
                return Ok(String::new());
            }
            Ok(authz::table(&answer, question.namespace.is_none(), ask.output == Output::Wide, screen))
        }),
        What::Edges(ask) => repeat(&ask, |question, screen| {
            let answer = edges(mesh, question)?;
            if ask.output.print(&answer.rows)? {
                return Ok(String::new());
            }
            Ok(edges_table(&answer, ask.output == Output::Wide, screen))
        }),
    }
}

fn show_routes(mesh: &dyn Access, ask: &Ask, question: &Question, screen: &Screen) -> anyhow::Result<String> {
    let mut answer: Routes = get(mesh, "/api/v1/routes", question)?;
    if let Some(Some(name)) = ask.route() {
        answer.rows.retain(|row| row.route == name);
    }
    if ask.output.print(&answer.rows)? {
        return Ok(String::new());
    }
    Ok(routes::table(&answer, question.namespace.is_none(), ask.output == Output::Wide, screen))
}

fn repeat(ask: &Ask, draw: impl Fn(&Question, &Screen) -> anyhow::Result<String>) -> anyhow::Result<ExitCode> {
    let question = ask.question()?;
    let screen = || {
        let screen = Screen::stdout();
        if ask.output == Output::Wide { Screen { width: None, ..screen } } else { screen }
    };
    if !ask.watch {
        print!("{}", draw(&question, &screen())?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut live = Live::default();
    loop {
        let screen = screen();
        let text = draw(&question, &screen)?;
        if screen.width.is_some() {
            live.draw(&text, &screen);
        } else {
            println!("{text}");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Golden signals, with the number of pods that only the runtime knows.
///
/// # Errors
/// When leno-viz does not answer.
pub(crate) fn stat(mesh: &dyn Access, question: &Question) -> anyhow::Result<Stat> {
    let mut answer: Stat = get(mesh, "/api/v1/stat", question)?;
    rows::add_totals(&mut answer, mesh)?;
    Ok(answer)
}

/// Who talks to whom.
///
/// # Errors
/// When leno-viz does not answer.
pub(crate) fn edges(mesh: &dyn Access, question: &Question) -> anyhow::Result<Edges> {
    get(mesh, "/api/v1/edges", question)
}

/// The question of a namespace's Deployments over the last `window`.
pub(crate) fn deployments(namespace: &str, window: Duration) -> Question {
    Question {
        namespace: Some(namespace.to_owned()),
        window: window.min(DEFAULT_WINDOW),
        ..Question::new(Kind::Deployment)
    }
}

fn get<T: DeserializeOwned>(mesh: &dyn Access, path: &str, question: &Question) -> anyhow::Result<T> {
    let answers = access::system_json(mesh, System::Viz, &format!("{path}?{}", question.to_query()))?;
    let value = answers.into_iter().next().context("leno-viz gave no answer")?;
    serde_json::from_value(value).context("leno-viz's answer")
}
