//! WeChat for one test: it names tokens, and takes messages of those who have the right one.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::web::{Answer, Asked, Web, ok};

/// What becomes of a message whose token is right.
pub(crate) enum Say {
    /// It is taken: the user has it.
    Taken,
    /// It is not.
    Code(i64),
    /// It is taken, and nobody is told.
    TakenInSilence,
    /// It is not, and this is answered.
    Other(Answer),
}

type Script = Box<dyn Fn(&Value, usize) -> Say + Send + Sync>;

pub(crate) struct WechatServer {
    web: Web,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Tokens that were named so far.
    named: u32,
    /// The newest is refused.
    is_refused: bool,
    /// A new one is named only by force.
    is_stubborn: bool,
    /// What is answered in place of a token.
    no_token: Option<i64>,
    /// Questions for a token: whether they force one.
    questions: Vec<Value>,
    /// Messages that users have, by openid.
    taken: BTreeMap<String, u32>,
    /// Ids of messages that are known.
    known: HashSet<(String, String)>,
    /// Messages with the right token.
    looked_at: usize,
}

impl WechatServer {
    /// Takes every message.
    pub(crate) fn start() -> Self {
        Self::answering(|_, _| Say::Taken)
    }

    /// Does with each message what `script` says: of its body, and its number among those with the right token.
    pub(crate) fn answering(script: impl Fn(&Value, usize) -> Say + Send + Sync + 'static) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let (of_web, script): (_, Script) = (Arc::clone(&state), Box::new(script));
        let web = Web::start(move |asked| {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            let mut state = of_web.lock().unwrap();
            if asked.path == "/cgi-bin/stable_token" {
                state.token(&body)
            } else {
                state.message(asked, &body, &script)
            }
        });
        Self { web, state }
    }

    /// The account's entry in the daemon config.
    pub(crate) fn account(&self) -> Value {
        json!({ "appid": "wx0123456789abcdef", "secret": { "file": "secret" }, "base": self.web.url(""), "timeout": "60s" })
    }

    /// From now on the token that is in force is refused, as when it expired.
    pub(crate) fn refuse_token(&self) {
        self.state.lock().unwrap().is_refused = true;
    }

    /// And it is named again to whoever does not force a new one.
    pub(crate) fn be_stubborn(&self) {
        self.state.lock().unwrap().is_stubborn = true;
    }

    /// Answers questions for a token by this code.
    pub(crate) fn name_no_token(&self, code: i64) {
        self.state.lock().unwrap().no_token = Some(code);
    }

    /// What was asked for tokens.
    pub(crate) fn questions(&self) -> Vec<Value> {
        self.state.lock().unwrap().questions.clone()
    }

    /// How many messages each user has.
    pub(crate) fn taken(&self) -> BTreeMap<String, u32> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Messages with the right token, whatever became of them.
    pub(crate) fn looked_at(&self) -> usize {
        self.state.lock().unwrap().looked_at
    }

    /// All requests.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.web.asked()
    }
}

impl State {
    fn current(&self) -> String {
        format!("token-number-{}", self.named)
    }

    fn token(&mut self, body: &Value) -> Answer {
        self.questions.push(body.clone());
        if let Some(code) = self.no_token {
            // WeChat says whom it means.
            return say(code, &format!("no, {}", body["secret"]));
        }
        let is_forced = body["force_refresh"] == true;
        if self.named == 0 || is_forced || (self.is_refused && !self.is_stubborn) {
            self.named += 1;
            self.is_refused = false;
        }
        ok(&json!({ "access_token": self.current(), "expires_in": 7200 }).to_string())
    }

    fn message(&mut self, asked: &Asked, body: &Value, script: &Script) -> Answer {
        let token = asked.path.split_once("?access_token=").map(|(_, token)| token);
        if token != Some(&self.current()) || self.is_refused {
            return say(
                40001,
                &format!("invalid credential, access_token {token:?} is invalid or not latest"),
            );
        }
        let number = self.looked_at;
        self.looked_at += 1;
        match script(body, number) {
            Say::Taken => self.take(body),
            Say::Code(code) => return say(code, "because"),
            Say::TakenInSilence => {
                self.take(body);
                return Answer::Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n".to_vec(), 20);
            }
            Say::Other(answer) => return answer,
        }
        ok(&json!({ "errcode": 0, "errmsg": "ok", "msgid": number }).to_string())
    }

    fn take(&mut self, body: &Value) {
        let openid = body["touser"].as_str().unwrap().to_owned();
        if let Some(id) = body["client_msg_id"].as_str()
            && !self.known.insert((openid.clone(), id.to_owned()))
        {
            return;
        }
        *self.taken.entry(openid).or_default() += 1;
    }
}

fn say(code: i64, why: &str) -> Answer {
    ok(&json!({ "errcode": code, "errmsg": why }).to_string())
}
