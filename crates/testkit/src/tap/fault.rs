//! What goes wrong with a request, drawn by lot.

/// How many requests fail, and the seed of the lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Per cent of all requests.
    pub rate: u8,
    /// Decides, with a request's number, whether and how it fails.
    pub seed: u64,
}

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// An error of the server.
    Status(u16),
    /// 429 or 503 with a time to wait, in seconds or as a date.
    Wait { status: u16, as_date: bool },
    /// The connection ends before anything is answered.
    HangUp,
    /// Nothing is answered for a while, then the connection ends.
    Stall,
    /// Half of the body goes to the registry, then the connection ends.
    CutRequest,
    /// The registry does what is asked, and its answer is lost.
    LoseAnswer,
    /// Half of the answer comes.
    CutAnswer,
    /// A byte of the answer is another one.
    WrongBytes,
    /// The registry does not know an upload that was begun.
    ForgetUpload,
}

impl Faults {
    /// What happens to a request: mostly nothing.
    pub(super) fn of(self, number: u64, method: &str, target: &str) -> Option<Fault> {
        let lot = mixed(self.seed ^ mixed(number));
        if lot % 100 >= u64::from(self.rate) {
            return None;
        }
        Some(suited(
            KINDS[(lot / 100) as usize % KINDS.len()],
            method,
            target,
        ))
    }
}

const KINDS: [Fault; 13] = [
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(504),
    Fault::Wait {
        status: 429,
        as_date: false,
    },
    Fault::Wait {
        status: 503,
        as_date: true,
    },
    Fault::HangUp,
    Fault::Stall,
    Fault::CutRequest,
    Fault::LoseAnswer,
    Fault::CutAnswer,
    Fault::WrongBytes,
    Fault::ForgetUpload,
];

/// The fault, or one like it that can happen to this request.
fn suited(fault: Fault, method: &str, target: &str) -> Fault {
    let reads = method == "GET" && (target.contains("/blobs/") || target.contains("/manifests/"));
    let uploads = matches!(method, "PUT" | "PATCH") && target.contains("/blobs/uploads/");
    match fault {
        Fault::CutAnswer | Fault::WrongBytes if !reads => Fault::LoseAnswer,
        Fault::CutRequest if !uploads => Fault::HangUp,
        Fault::ForgetUpload if !uploads => Fault::Status(500),
        fault => fault,
    }
}

/// A number that looks random, the same for the same input (the finish of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_every_kind_has_its_turn() {
        let faults = Faults { rate: 20, seed: 7 };
        let drawn: Vec<Fault> = (0..10_000)
            .filter_map(|number| faults.of(number, "PUT", "/v2/a/blobs/uploads/x"))
            .collect();
        assert!((1_800..2_200).contains(&drawn.len()), "{}", drawn.len());
        for kind in KINDS {
            let kind = suited(kind, "PUT", "/v2/a/blobs/uploads/x");
            assert!(drawn.contains(&kind), "{kind:?}");
        }
        let none = Faults { rate: 0, seed: 7 };
        assert!((0..1000).all(|number| none.of(number, "GET", "/v2/").is_none()));
    }
}
