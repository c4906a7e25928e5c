//! Messages to users of WeChat, by the rules of its server API: subscription messages of mini programs
//! (<https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/sendMessage.html>)
//! and template messages of official accounts
//! (<https://developers.weixin.qq.com/doc/service/api/notify/template/api_sendtemplatemessage.html>).
//!
//! `compose` makes a row a message, `limits` knows what WeChat's keywords take, `account` has the token that all messages
//! of an account need, `verdict` says what an answer means, `send` puts them together.

mod account;
mod compose;
mod limits;
mod send;
mod token;
mod verdict;

pub use account::WechatAccount;
pub use compose::WechatMessage;
pub use send::WechatAction;
