//! `catrain zones --sources`: what each source can do.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::caller::wire::{Credential, Offers};
use crate::forecast::Basis;
use crate::source::electricity_maps::ElectricityMaps;
use crate::source::{self, Live};
use crate::words::{self, Look, Paint};

fn all() -> impl Iterator<Item = (Live, Offers)> {
    let maps = ElectricityMaps::default();
    (Live::ALL.into_iter()).map(move |live| (live, source::provider(live, maps).offers()))
}

fn key(live: Live, offers: &Offers) -> String {
    match (offers.credential, offers.base_url) {
        (Credential::None, "") => format!("none; set base_url in [sources.{}]", live.name()),
        (Credential::None, _) => "none".to_owned(),
        (Credential::Token | Credential::Basic, _) => {
            format!("USER:PASSWORD: catrain key set {}", live.name())
        }
        (Credential::Header(_), _) => format!("catrain key set {}", live.name()),
    }
}

fn ahead(horizon: Option<Duration>) -> String {
    horizon.map_or("no forecast".to_owned(), |horizon| {
        format!("{} ahead", words::duration(horizon))
    })
}

pub(super) fn table(look: Look, out: &mut dyn Write) -> io::Result<()> {
    for (live, offers) in all() {
        let mut say = |text: &str| writeln!(out, "{}", look.text(text).trim_end());
        say(&look.paint(Paint::Bold, live.name()))?;
        let measured = match offers.has_observations {
            true => "forecast and past",
            false => "forecast only",
        };
        say(&format!("  zones    {}", offers.zones))?;
        say(&format!("  numbers  {}; {measured}", offers.basis))?;
        say(&format!(
            "  in time  {}, in steps of {}, new every {}",
            ahead(offers.horizon),
            words::duration(offers.step),
            words::duration(offers.cadence)
        ))?;
        say(&format!("  key      {}", key(live, &offers)))?;
        if !offers.attribution.is_empty() {
            let name = format!("  name it  {}", offers.attribution);
            say(&look.paint(Paint::Dim, &name))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    sources: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    base_url: Option<&'static str>,
    zones: &'static str,
    basis: Basis,
    horizon_s: Option<u64>,
    step_s: u64,
    cadence_s: u64,
    has_observations: bool,
    needs_key: bool,
    attribution: &'static str,
}

pub(super) fn json(out: &mut dyn Write) -> io::Result<()> {
    let rows = all().map(|(live, offers)| Row {
        name: live.name(),
        base_url: Some(offers.base_url).filter(|url| !url.is_empty()),
        zones: offers.zones,
        basis: offers.basis,
        horizon_s: offers.horizon.map(|horizon| horizon.as_secs()),
        step_s: offers.step.as_secs(),
        cadence_s: offers.cadence.as_secs(),
        has_observations: offers.has_observations,
        needs_key: offers.credential != Credential::None,
        attribution: offers.attribution,
    });
    let document = Document {
        schema: "catrain.sources/1",
        sources: rows.collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
