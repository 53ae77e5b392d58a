//! The sum of many requests at once is exact, to the token and the picodollar.

use futures::future::join_all;

use super::Pair;
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::suite::Suite;
use crate::test::{Test, Totals};

const REQUESTS: usize = 200;

pub(crate) fn add(suite: &mut Suite) {
    suite.add("totals::two_hundred_requests_at_once_are_counted_exactly", two_hundred).alone();
    suite.add("totals::a_reply_without_a_price_has_an_unknown_cost", |test| async move {
        let dialect = Dialect::OpenaiChat;
        let reply = test.answer(dialect, &dialect.request("up-openai/thinking", &test.prompt())).await;
        assert_eq!(reply.header("x-tollgate-cost"), Some("unknown"));
        let totals = Totals::of(1, "thinking", dialect.own().reports(Answer::of("thinking").usage));
        assert_eq!((totals.cost, totals.unpriced), (0, 1));
        test.settles([("up-openai/thinking", totals)]).await;
    });
}

/// All pairs, half of them streamed.
async fn two_hundred(test: Test) {
    let pairs: Vec<_> = Pair::four().collect();
    let answer = Answer::of("text");
    join_all((0..REQUESTS).map(|number| {
        let (test, pair) = (&test, pairs[number % 4]);
        async move {
            let model = pair.target("text");
            let reading = if number / 4 % 2 == 0 {
                let reply = test.answer(pair.caller, &pair.caller.request(&model, &test.prompt())).await;
                pair.caller.read_whole(&reply.body)
            } else {
                let reply = test.answer(pair.caller, &pair.caller.streamed(&model, &test.prompt())).await;
                pair.caller.read_stream(&reply.body)
            };
            pair.check(&reading, &answer);
        }
    }))
    .await;
    assert_eq!(test.upstream.exchanges(&test.marker).len(), REQUESTS);
    let [openai, anthropic] = Dialect::BOTH.map(|dialect| {
        (dialect.own().target("text"), Totals::of(REQUESTS as u64 / 2, "text", dialect.own().reports(answer.usage)))
    });
    test.settles([(&openai.0, openai.1), (&anthropic.0, anthropic.1)]).await;
}
