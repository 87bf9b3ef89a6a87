//! ZSCAN.

use super::super::scan::{Page, ScanOptions};
use super::super::{Call, Done, Fail};
use crate::redis::raw::Mode;
use crate::value::double;

pub(super) fn zscan(call: &Call<'_>) -> Done {
    let cursor = ScanOptions::cursor(call.word(2)?)?;
    let key = call.zset(1, Mode::Read)?;
    let page = key.read(|set| {
        let options = ScanOptions::parse(call, 3)?;
        let mut page = Page::at(cursor);
        page.fill(&options, |cursor, page| {
            set.scan(cursor, |member, score| {
                if page.takes(&options, member) {
                    page.add(member.to_vec());
                    page.add(double::show(score));
                }
            })
        });
        Ok::<_, Fail>(page)
    });
    page.transpose()?.unwrap_or_else(|| Page::at(0)).reply(call);
    Ok(())
}
