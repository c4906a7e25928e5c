//! The cloud's own SDK, from the registry, in a function as people have them.

use std::process::Command;

use gulou::run::Status;
use gulou::settings::{CodeSettings, Runtime};
use gulou::target::Target;
use serde_json::{Value, json};

use crate::support::require;
use crate::target_harness::{code, env, host, run};

/// The last version when this was written.
const SDK: &str = "wx-server-sdk@4.0.2";

const CODE: &str = "
const cloud = require('wx-server-sdk');
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV });
const _ = cloud.database().command;
exports.main = async (event, context) => ({
  wx: cloud.getWXContext(), message: event.Message, command: typeof _.gt(1), namespace: context.namespace,
});
";

#[tokio::test(flavor = "multi_thread")]
async fn npm_wx_server_sdk_answers_as_in_the_cloud() {
    require("npm");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    std::fs::write(dir.join("package.json"), "{ \"name\": \"f\", \"version\": \"1.0.0\" }").unwrap();
    std::fs::write(dir.join("index.js"), CODE).unwrap();
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefer-offline", SDK]).current_dir(&dir);
    let installed = npm.output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let settings = |pairs: &[(&str, &str)]| CodeSettings {
        dir: dir.clone(),
        env: env(pairs),
        ..code(Runtime::NodeJs, "")
    };
    let answer = |settings: CodeSettings| async move {
        let target = Target::function(&settings, &host());
        let (outcome, recorder) = run(&target, "hi").await;
        target.shutdown().await;
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?} {:?}", recorder.all());
        outcome.result.unwrap()
    };
    let expected = |env: &str| -> Value {
        let wx = json!({ "APPID": "wxda99", "ENV": env, "SOURCE": "wx_trigger" });
        json!({ "wx": wx, "message": "hi", "command": "object", "namespace": env })
    };
    assert_eq!(answer(settings(&[])).await, expected("default"));
    assert_eq!(answer(settings(&[("TCB_ENV", "shop-7g5")])).await, expected("shop-7g5"));
}
