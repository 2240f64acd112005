//! The client against a scripted registry, and against a real one.

#[cfg(test)]
mod auth;
#[cfg(test)]
mod clouds;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod gitlab;
#[cfg(test)]
mod mirrors;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod push;
#[cfg(test)]
mod real;
#[cfg(test)]
mod referrers;
#[cfg(test)]
mod signature;
#[cfg(test)]
mod tls;
