//! What functions remember.

use super::home::Home;

pub(super) async fn a_function_remembers_through_a_restart(home: &Home) {
    let store = home.reopen();
    let memo = store.memo("f", "fetch");
    assert_eq!(memo.read().await.unwrap(), None);
    memo.write("鼓'\"\\".to_owned()).await.unwrap();
    store.memo("f", "other").write("o".to_owned()).await.unwrap();
    store.memo("g", "fetch").write("g".to_owned()).await.unwrap();
    memo.write("楼\n2".to_owned()).await.unwrap();
    drop((memo, store));
    let store = home.reopen();
    let texts = [("f", "fetch"), ("f", "other"), ("g", "fetch")].map(|(f, name)| store.memo(f, name));
    assert_eq!(texts[0].read().await.unwrap().as_deref(), Some("楼\n2"));
    assert_eq!(texts[1].read().await.unwrap().as_deref(), Some("o"));
    assert_eq!(texts[2].read().await.unwrap().as_deref(), Some("g"));
    assert_eq!(store.memo("g", "other").read().await.unwrap(), None);
}
