//! Random numbers that depend on nothing but their seed, and text out of them.

/// A random source for one thing (an asset, a CVE, a row), always the same for the same seed, kind and index.
pub(super) fn source(seed: u64, kind: u64, index: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(mixed(mixed(seed ^ mixed(kind)) ^ index))
}

/// The mixing step of splitmix64, so that neighbouring seeds have nothing in common.
pub(super) const fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One of several values, each as likely.
pub(super) fn pick<T: Copy>(random: &mut fastrand::Rng, values: &[T]) -> T {
    values[random.usize(..values.len())]
}

/// Whether something happens that happens so many times in a thousand.
pub(super) fn per_mille(random: &mut fastrand::Rng, times: u32) -> bool {
    random.u32(..1000) < times
}

/// A rank below `count`, the first the most likely: the chance falls with the rank as Zipf found it for words.
pub(super) fn zipf(random: &mut fastrand::Rng, count: u64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank need not be exact, and is below `count`"
    )]
    let rank = ((count as f64 + 1.0).powf(random.f64()) - 1.0) as u64;
    rank.min(count.saturating_sub(1))
}

/// Text that reads like an advisory: sentences with commas, quotes and line breaks, to cut passages from.
pub(super) struct Prose(String);

impl Prose {
    /// Long enough that passages differ, short enough to stay in a cache.
    const BYTES: usize = 64 * 1024;

    pub(super) fn new(seed: u64) -> Self {
        const WORDS: [&str; 40] = [
            "a",
            "attacker",
            "allows",
            "buffer",
            "overflow",
            "in",
            "the",
            "of",
            "remote",
            "crafted",
            "request",
            "parser",
            "memory",
            "corruption",
            "before",
            "version",
            "improper",
            "validation",
            "input",
            "could",
            "lead",
            "to",
            "code",
            "execution",
            "denial",
            "service",
            "via",
            "function",
            "when",
            "handling",
            "headers",
            "user",
            "privileges",
            "affected",
            "component",
            "use-after-free",
            "bypass",
            "library",
            "unauthenticated",
            "\"trusted\"",
        ];
        let mut random = source(seed, 0x0070_726f_7365, 0);
        let mut text = String::with_capacity(Self::BYTES + 32);
        while text.len() < Self::BYTES {
            text.push_str(pick(&mut random, &WORDS));
            text.push_str(match random.u32(..40) {
                0 => ".\n",
                1..=3 => ". ",
                4..=6 => ", ",
                _ => " ",
            });
        }
        Self(text)
    }

    /// A passage of so many bytes, at most a quarter of the whole.
    pub(super) fn passage(&self, from: u64, bytes: usize) -> &str {
        let bytes = bytes.min(Self::BYTES / 4);
        let room = u64::try_from(Self::BYTES - bytes).expect("small");
        let from = usize::try_from(from % room).expect("below the length");
        &self.0[from..from + bytes]
    }
}
