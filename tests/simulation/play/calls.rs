//! What people ask of the service, and do behind its back.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{CANCELLED_WITHIN, INTEGRATIONS, Integration, NAMES, Play, WIZ_OF_PLACE, record, whole};
use crate::checks::{self, Broken};
use crate::history::{Edit, How};
use crate::reports::text;
use crate::world::World;

impl Play {
    /// Asks for a run; gives its id.
    pub(super) fn start(&self, place: usize, how: How) -> Option<String> {
        let id = &self.places[place].as_ref()?.id;
        let real = |query: &str| self.ask_for_run(Method::PUT, id, query);
        match how {
            How::Real => real(""),
            How::Full => real("?full=true"),
            How::Last => real("?report=last"),
            How::Dry => self.ask_for_run(Method::GET, id, "?fresh=true"),
            How::Joined => self
                .ask_for_run(Method::GET, id, "?fresh=true")
                .and_then(|_| real("")),
        }
    }

    fn ask_for_run(&self, method: Method, id: &str, query: &str) -> Option<String> {
        let path = format!("{INTEGRATIONS}/{id}/run{query}");
        let (status, answer) = self.world.call(method, &path, None);
        self.run_of(status, &answer)
    }

    /// The run that a call came to. One that was told to end cannot be joined, nor one of another kind, and an integration
    /// whose labels are removed may be gone by now.
    fn run_of(&self, status: StatusCode, answer: &Value) -> Option<String> {
        let removes = self.places.iter().flatten().any(|one| one.removal.is_some());
        let is_right = matches!(status.as_u16(), 202 | 409) || (removes && status == StatusCode::NOT_FOUND);
        assert!(is_right, "{status} {answer}");
        (status == StatusCode::ACCEPTED).then(|| text(&answer["run"]["id"]))
    }

    pub(super) fn remove(&mut self, place: usize) {
        let Some(id) = self.places[place].as_ref().map(|one| one.id.clone()) else {
            return;
        };
        let path = format!("{INTEGRATIONS}/{id}?labels=remove");
        let (status, answer) = whole(self.world.call_that_waits(Method::DELETE, &path));
        let run = self.run_of(status, &answer);
        if let (Some(run), Some(one)) = (run, &mut self.places[place]) {
            one.removal = Some(run);
        }
    }

    pub(super) fn approve(&mut self, place: usize, last: bool) -> Result<(), Broken> {
        let Some(id) = self.places[place].as_ref().map(|one| one.id.clone()) else {
            return Ok(());
        };
        let (_, runs) = self
            .world
            .call(Method::GET, &format!("{INTEGRATIONS}/{id}/runs"), None);
        let runs = runs["data"].as_array().cloned().unwrap_or_default();
        let mut held = runs.iter().filter(|run| run["state"] == "held");
        let Some(run) = held.nth(usize::from(!last)).map(|run| text(&run["id"])) else {
            return Ok(());
        };
        let before = self.world.newest_plan(&id);
        let (status, answer) = self
            .world
            .call(Method::POST, &format!("/runs/{run}/approve"), None);
        let approved = self.run_of(status, &answer).is_some();
        let newest = [before, self.world.newest_plan(&id)];
        if approved && !newest.contains(&Some(run.clone())) {
            let detail = format!("{run} is approved, and the newest plans are those of {newest:?}");
            return Err(Broken::new("only_the_newest_plan_is_approved", detail));
        }
        Ok(())
    }

    pub(super) fn verify(&self, place: usize, repair: bool) -> Option<String> {
        let id = &self.places[place].as_ref()?.id;
        let path = format!("{INTEGRATIONS}/{id}/verify?repair={repair}");
        let (status, answer) = self.world.call(Method::POST, &path, None);
        self.run_of(status, &answer)
    }

    /// A person changes one of the labels that the service is sure of.
    pub(super) fn change_by_hand(&mut self, which: usize, removes: bool) {
        whole(self.world.quiet());
        let sure: Vec<_> = self
            .world
            .ledger()
            .into_iter()
            .filter(|row| row.sent.is_none())
            .collect();
        let Some(row) = sure.get(which % sure.len().max(1)) else {
            return;
        };
        let (ip, context) = row.pair();
        if removes {
            self.world.fusion().remove_label(ip, &context);
        } else {
            self.world.fusion().change_label(ip, &context, &["by hand"]);
        }
        self.by_hand.insert((ip, context));
    }

    /// What deleted integrations left behind is adopted, and a pair that Fusion does not hold.
    pub(super) fn adopt(&mut self) {
        let mut pairs: Vec<_> = self.given_up.iter().cloned().collect();
        pairs.push(("10.9.9.8".parse().unwrap(), "cve".to_owned()));
        let pairs = pairs
            .into_iter()
            .map(|(ip, context)| json!({"ip": ip, "context": context}));
        let (status, answer) = self
            .world
            .call(Method::POST, "/labels/adopt", Some(pairs.collect()));
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    pub(super) fn run(&mut self, place: usize, how: How) -> Result<(), Broken> {
        let active =
            |integration: &Integration| integration.auto_update || self.active_run(&integration.id).is_some();
        let alone = !self.places.iter().flatten().any(active);
        let counts = |world: &mut World| {
            let fusion = world.fusion();
            let counts = (fusion.labels_put(), fusion.labels_deleted());
            (counts, world.facts_in_force())
        };
        let before = counts(&mut self.world);
        let Some(run) = self.start(place, how) else {
            return Ok(());
        };
        self.end_of(&run)?;
        let after = counts(&mut self.world);
        if alone && how == How::Dry && before != after {
            let detail =
                format!("records put, deleted, and facts in force: {before:?} before it, {after:?} after it");
            return Err(Broken::new("a_dry_run_changes_nothing", detail));
        }
        Ok(())
    }

    pub(super) fn cancel(&mut self, place: usize) -> Result<(), Broken> {
        let Some(integration) = self.places[place].clone() else {
            return Ok(());
        };
        let Some(run) = self.active_run(&integration.id) else {
            return Ok(());
        };
        let (status, answer) = self
            .world
            .call(Method::POST, &format!("/runs/{run}/cancel"), None);
        assert!(matches!(status.as_u16(), 202 | 409), "{status} {answer}");
        whole(self.world.pass(CANCELLED_WITHIN));
        // No more time passes; threads may be late all the same.
        let ended = |world: &World| !record(world, &run)["finished_at"].is_null();
        if whole(self.world.comes_true(ended)) {
            Ok(())
        } else {
            let run = self.record(&run);
            Err(Broken::new("a_cancelled_run_ends_within_5_s", format!("{run:#}")))
        }
    }

    pub(super) fn create(&mut self, place: usize) {
        if self.places[place].is_some() {
            return;
        }
        let (wiz, auto_update) = (WIZ_OF_PLACE[place], false);
        let body = json!({
            "name": NAMES[place][0], "type": "wiz", "enabled": auto_update, "updateinterval": 86_400,
            "wiz": self.account(wiz, true),
        });
        let (status, answer) = self.world.call(Method::POST, INTEGRATIONS, Some(body));
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let id = text(&answer["data"][0]["id"]);
        self.pointed[wiz].insert(id.clone());
        self.places[place] = Some(Integration {
            id,
            wiz,
            auto_update,
            removal: None,
        });
    }

    pub(super) fn delete(&mut self, place: usize) -> Result<(), Broken> {
        let Some(integration) = self.places[place].take() else {
            return Ok(());
        };
        // Workers go on while the call is made: what was in the ledger before it, or is after it, tells nothing for sure.
        let before = self.world.times_forgotten();
        let path = format!("{INTEGRATIONS}/{}", integration.id);
        let (status, answer) = self.world.call(Method::DELETE, &path, None);
        let is_gone = integration.removal.is_some() && status == StatusCode::NOT_FOUND;
        assert!(status == StatusCode::NO_CONTENT || is_gone, "{status} {answer}");
        let given_up = self.world.forgotten_since(before);
        checks::nobody_wants_what_is_given_up(&mut self.world, &integration.id, &given_up)?;
        self.given_up.extend(given_up);
        Ok(())
    }

    pub(super) fn edit(&mut self, place: usize, edit: Edit) {
        let Some(mut integration) = self.places[place].clone() else {
            return;
        };
        let change = match edit {
            Edit::AutoUpdate(on) => {
                integration.auto_update = on;
                json!({"enabled": on})
            }
            Edit::Rename(other) => json!({"name": NAMES[place][usize::from(other)]}),
            Edit::Secret { right } => json!({"wiz": self.account(integration.wiz, right)}),
            Edit::MoveTo { wiz } => {
                integration.wiz = wiz;
                self.pointed[wiz].insert(integration.id.clone());
                json!({"wiz": self.account(wiz, true)})
            }
        };
        let path = format!("{INTEGRATIONS}/{}", integration.id);
        let (status, answer) = self.world.call(Method::PATCH, &path, Some(change));
        if status == StatusCode::OK {
            self.places[place] = Some(integration);
        } else {
            let is_removed = integration.removal.is_some() && matches!(status.as_u16(), 404 | 409);
            assert!(is_removed, "{status} {answer}");
        }
    }

    /// The settings of an account of Wiz, with a secret that is right or not.
    fn account(&self, wiz: usize, right: bool) -> Value {
        let wiz = &self.world.simulators[wiz];
        json!({
            "apiendpoint": wiz.api_endpoint(), "tokenurl": wiz.token_url(), "clientid": wiz.client_id(),
            "clientsecret": if right { wiz.client_secret() } else { "wrong" },
        })
    }
}
