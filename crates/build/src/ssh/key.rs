//! Private keys: reading them, naming them to others, signing with them.

use std::fmt;

use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKey, KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
    RsaEncoding,
};

use super::openssh::OpensshKey;
use super::wire::{Reader, Writer, without_zeros};
use super::{KeyError, der, openssh, pem};

/// A private key and what the world knows of it.
pub(crate) struct Identity {
    key: PrivateKey,
    /// The public key as ssh encodes it, which is also the key's name in the agent protocol.
    public: Vec<u8>,
    comment: String,
}

enum PrivateKey {
    Ed25519(Ed25519KeyPair),
    Ecdsa(Curve, EcdsaKeyPair),
    Rsa(Box<RsaKey>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

/// Bits of a sign request that ask for a hash with RSA (RFC 8332).
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("comment", &self.comment)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads the file of a private key: OpenSSH's own form, PKCS #8, PKCS #1 or SEC 1, each in PEM.
    pub(super) fn parse(file: &[u8]) -> Result<Self, KeyError> {
        let block = pem::private_key(file)?;
        match block.kind.as_str() {
            "OPENSSH" => Self::from_openssh(openssh::open(&block.data)?),
            "" => Self::from_pkcs8(&block.data),
            "RSA" => rsa(RsaKey::from_der(&block.data)),
            "EC" => Self::from_sec1(&block.data),
            "ENCRYPTED" => Err(KeyError::Encrypted),
            other => Err(KeyError::Unsupported(other.to_owned())),
        }
    }

    fn from_openssh(OpensshKey { kind, mut fields }: OpensshKey<'_>) -> Result<Self, KeyError> {
        let mut identity = match kind.as_str() {
            "ssh-ed25519" => {
                let (public, private) = (fields.string()?, fields.string()?);
                let seed = private.get(..32).ok_or(KeyError::Damaged)?;
                ed25519(Ed25519KeyPair::from_seed_and_public_key(seed, public))
            }
            "ssh-rsa" => rsa_components(&mut fields),
            "ecdsa-sha2-nistp256" => openssh_ecdsa(Curve::P256, &mut fields),
            "ecdsa-sha2-nistp384" => openssh_ecdsa(Curve::P384, &mut fields),
            _ => return Err(KeyError::Unsupported(kind)),
        }?;
        identity.comment = fields.text()?;
        Ok(identity)
    }

    fn from_pkcs8(data: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(data) {
            return ed25519(Ok(key));
        }
        for curve in [Curve::P256, Curve::P384] {
            let key = EcdsaKeyPair::from_pkcs8(curve.algorithm(), data, &SystemRandom::new());
            if let Ok(key) = key {
                return ecdsa(curve, Ok(key));
            }
        }
        rsa(RsaKey::from_pkcs8(data))
    }

    fn from_sec1(data: &[u8]) -> Result<Self, KeyError> {
        let key = der::ec_key(data)?;
        let curve = Curve::of_object(key.curve)
            .ok_or_else(|| KeyError::Unsupported("EC on another curve".to_owned()))?;
        ecdsa_parts(curve, key.private, key.public)
    }

    /// The public key as ssh encodes it.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// What the key's file calls it.
    pub(super) fn comment(&self) -> &str {
        &self.comment
    }

    /// Signs as the agent protocol asks; `None` where that is refused: RSA with SHA-1, which nobody accepts any more.
    pub(super) fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let signed = |algorithm: &str, signature: &[u8]| {
            Writer::default()
                .string(algorithm)
                .string(signature)
                .finish()
        };
        match &self.key {
            PrivateKey::Ed25519(key) => Some(signed("ssh-ed25519", key.sign(data).as_ref())),
            PrivateKey::Ecdsa(curve, key) => {
                let signature = key.sign(&random, data).ok()?;
                let (r, s) = signature.as_ref().split_at(signature.as_ref().len() / 2);
                let numbers = Writer::default().number(r).number(s).finish();
                Some(signed(curve.kind(), &numbers))
            }
            PrivateKey::Rsa(key) => {
                let (name, padding) = rsa_algorithm(flags)?;
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, data, &mut signature).ok()?;
                Some(signed(name, &signature))
            }
        }
    }
}

impl Curve {
    fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::P256 => "ecdsa-sha2-nistp256",
            Self::P384 => "ecdsa-sha2-nistp384",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    fn of_object(identifier: &[u8]) -> Option<Self> {
        match identifier {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => Some(Self::P256),
            [0x2b, 0x81, 0x04, 0x00, 0x22] => Some(Self::P384),
            _ => None,
        }
    }
}

fn rsa_algorithm(flags: u32) -> Option<(&'static str, &'static dyn RsaEncoding)> {
    if flags & RSA_SHA2_512 != 0 {
        Some(("rsa-sha2-512", &RSA_PKCS1_SHA512))
    } else if flags & RSA_SHA2_256 != 0 {
        Some(("rsa-sha2-256", &RSA_PKCS1_SHA256))
    } else {
        None
    }
}

type Read<T> = Result<T, ring::error::KeyRejected>;

fn ed25519(key: Read<Ed25519KeyPair>) -> Result<Identity, KeyError> {
    let key = key.map_err(|_| KeyError::Damaged)?;
    let public = Writer::default()
        .string("ssh-ed25519")
        .string(key.public_key());
    Ok(identity(public, PrivateKey::Ed25519(key)))
}

fn ecdsa(curve: Curve, key: Read<EcdsaKeyPair>) -> Result<Identity, KeyError> {
    let key = key.map_err(|_| KeyError::Damaged)?;
    let public = Writer::default().string(curve.kind()).string(curve.name());
    let public = public.string(key.public_key());
    Ok(identity(public, PrivateKey::Ecdsa(curve, key)))
}

fn openssh_ecdsa(curve: Curve, fields: &mut Reader<'_>) -> Result<Identity, KeyError> {
    fields.string()?;
    let (public, private) = (fields.string()?, fields.number()?);
    ecdsa_parts(curve, private, public)
}

fn ecdsa_parts(curve: Curve, private: &[u8], public: &[u8]) -> Result<Identity, KeyError> {
    let missing = curve
        .bytes()
        .checked_sub(private.len())
        .ok_or(KeyError::Damaged)?;
    let mut padded = vec![0; missing];
    padded.extend(private);
    let random = SystemRandom::new();
    let key =
        EcdsaKeyPair::from_private_key_and_public_key(curve.algorithm(), &padded, public, &random);
    ecdsa(curve, key)
}

fn rsa(key: Read<RsaKey>) -> Result<Identity, KeyError> {
    let key = key.map_err(|rejected| match rejected.to_string().as_str() {
        "TooSmall" | "TooLarge" | "PrivateModulusLenNotMultipleOf512Bits" => {
            KeyError::Unsupported("RSA of this size".to_owned())
        }
        "WrongAlgorithm" => KeyError::Unsupported("another one of PKCS #8".to_owned()),
        _ => KeyError::Damaged,
    })?;
    let public = Writer::default().string("ssh-rsa");
    let (n, e) = der::rsa_public_key(key.public().as_ref())?;
    let public = public.number(e).number(n);
    Ok(identity(public, PrivateKey::Rsa(Box::new(key))))
}

/// OpenSSH leaves out two numbers that can be computed from the others: d mod (p-1), and d mod (q-1).
fn rsa_components(fields: &mut Reader<'_>) -> Result<Identity, KeyError> {
    let (n, e, d) = (fields.number()?, fields.number()?, fields.number()?);
    let (q_inverse, p, q) = (fields.number()?, fields.number()?, fields.number()?);
    let (d_mod_p, d_mod_q) = (remainder(d, &less_one(p)), remainder(d, &less_one(q)));
    rsa(RsaKey::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d,
        p,
        q,
        dP: without_zeros(&d_mod_p),
        dQ: without_zeros(&d_mod_q),
        qInv: q_inverse,
    }))
}

/// A big-endian number, which is a prime and so odd, less one.
fn less_one(number: &[u8]) -> Vec<u8> {
    let mut less = number.to_vec();
    if let Some(last) = less.last_mut() {
        *last &= 0xfe;
    }
    less
}

/// The remainder of a division of big-endian numbers, bit by bit as on paper; nothing where the divisor is nothing.
///
/// Keys are read once, so it does not matter that this is slow; and every command's signatures are made by `ring`.
fn remainder(dividend: &[u8], divisor: &[u8]) -> Vec<u8> {
    let divisor = without_zeros(divisor);
    if divisor.is_empty() {
        return Vec::new();
    }
    // One byte more, for the bit that is shifted out before it is subtracted.
    let mut rest = vec![0; divisor.len() + 1];
    let mut wide = vec![0];
    wide.extend(divisor);
    for bit in dividend
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
    {
        shift_in(&mut rest, bit);
        if rest >= wide {
            subtract(&mut rest, &wide);
        }
    }
    rest
}

/// Twice the number, and a bit.
fn shift_in(number: &mut [u8], bit: u8) {
    let mut carry = bit;
    for byte in number.iter_mut().rev() {
        let next = *byte >> 7;
        *byte = *byte << 1 | carry;
        carry = next;
    }
}

/// Takes a number that is no greater away; both have the same length.
fn subtract(number: &mut [u8], other: &[u8]) {
    let mut borrow = false;
    for (byte, other) in number.iter_mut().zip(other).rev() {
        let (less, first) = byte.overflowing_sub(*other);
        let (less, second) = less.overflowing_sub(u8::from(borrow));
        *byte = less;
        borrow = first || second;
    }
}

fn identity(public: Writer, key: PrivateKey) -> Identity {
    Identity {
        key,
        public: public.finish(),
        comment: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remainder_is_that_of_the_division() {
        for (a, b) in [
            (0_u64, 7_u64),
            (6, 7),
            (7, 7),
            (1 << 40, 65_537),
            (u64::MAX, 3),
            (u64::MAX, u64::MAX - 1),
            (5, 1 << 60),
        ] {
            let rest = remainder(&a.to_be_bytes(), &b.to_be_bytes());
            let number = without_zeros(&rest)
                .iter()
                .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            assert_eq!(number, a % b, "{a} % {b}");
        }
        assert_eq!(without_zeros(&remainder(&[1, 2], &[])), [0_u8; 0]);
    }
}
