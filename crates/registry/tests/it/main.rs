//! The client against a scripted registry, and against a real one.

#[cfg(test)]
mod auth;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod mirrors;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod push;
#[cfg(test)]
mod real;
#[cfg(test)]
mod tls;
