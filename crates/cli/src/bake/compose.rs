//! Services of Compose files: what their `build:` sections say.

mod keys;
mod known;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) use self::keys::{secret_specs, specs};

use super::arguments::is_remote;
use super::error::BakeError;
use super::extends::{Service, merge_into};
use super::file::File;
use super::interpolate::interpolate;
use super::node::Node;
use super::read::Surroundings;
use super::select::Bake;

/// Files may include others so deep.
const DEEPEST: usize = 20;

/// Variables in scope.
type Variables = BTreeMap<String, String>;

/// The services of a file, those of the files it includes first.
pub(super) fn services(
    file: &mut File,
    surroundings: &Surroundings,
    variables: &Variables,
) -> Result<Vec<(String, Service)>, BakeError> {
    Reader {
        surroundings,
        variables,
    }
    .file(file, 0)
}

/// Makes targets of services, and a group of those that are built when none is named.
pub(super) fn finish(
    services: BTreeMap<String, Service>,
    order: &[String],
    profiles: &[String],
    bake: &mut Bake,
) {
    let mut services = services;
    for name in order {
        let Some(service) = services.remove(name).filter(|service| service.builds) else {
            continue;
        };
        let mut target = service.target;
        if let Some(image) = service.image
            && !target.tags.contains(&image)
        {
            target.tags.insert(0, image);
        }
        let wanted = target.profiles.is_empty()
            || target
                .profiles
                .iter()
                .any(|profile| profile == "*" || profiles.contains(profile));
        if wanted {
            bake.default_group().push(name.clone());
        }
        bake.targets.insert(name.clone(), target);
    }
}

struct Reader<'a> {
    surroundings: &'a Surroundings,
    variables: &'a Variables,
}

impl Reader<'_> {
    fn open(&self, name: &Path) -> Result<File, BakeError> {
        let mut file = File::read(&self.surroundings.working, name)?;
        self.put_variables(&mut file)?;
        Ok(file)
    }

    fn put_variables(&self, file: &mut File) -> Result<(), BakeError> {
        let lookup = |name: &str| self.variables.get(name).cloned();
        let place = file.place(&[]);
        interpolate(&mut file.value, &lookup)
            .map_err(|reason| BakeError::Variable { place, reason })
    }

    fn file(&self, file: &mut File, depth: usize) -> Result<Vec<(String, Service)>, BakeError> {
        self.put_variables(file)?;
        let file = &*file;
        let root = Node::root(file, &file.value);
        known::check(&root, &known::OF_A_FILE)?;
        let mut services: Vec<(String, Service)> = Vec::new();
        for included in includes(&root)? {
            if depth == DEEPEST {
                return Err(root.unavailable("files include each other without end"));
            }
            let mut included =
                File::read(&self.surroundings.working, &file.directory.join(included))?;
            services.extend(self.file(&mut included, depth + 1)?);
        }
        let Some(own) = root.get("services") else {
            return Ok(services);
        };
        for (name, node) in own.entries()? {
            let service = self.service(&root, &name, &node, &mut Vec::new())?;
            let mut merged = BTreeMap::new();
            if let Some(at) = services.iter().position(|(known, _)| *known == name) {
                let (name, earlier) = services.remove(at);
                merged.insert(name, earlier);
            }
            merge_into(&mut merged, name, service);
            services.extend(merged);
        }
        Ok(services)
    }

    /// A service with all that it extends.
    fn service(
        &self,
        root: &Node<'_>,
        name: &str,
        node: &Node<'_>,
        above: &mut Vec<(PathBuf, String)>,
    ) -> Result<Service, BakeError> {
        let own = service(root, node)?;
        let Some(extends) = node.get("extends") else {
            return Ok(own);
        };
        let (file, base) = extended(&extends)?;
        above.push((root.file.name.clone(), name.to_owned()));
        let broken = |reason: &str| BakeError::Extends {
            place: extends.place(),
            service: base.clone(),
            reason: reason.to_owned(),
        };
        let opened;
        let root = match &file {
            None => root.clone(),
            Some(path) => {
                opened = self.open(&root.file.directory.join(path))?;
                Node::root(&opened, &opened.value)
            }
        };
        if above.contains(&(root.file.name.clone(), base.clone())) {
            return Err(broken("extends itself"));
        }
        let services = root.get("services");
        let node = services
            .as_ref()
            .and_then(|services| services.get(&base))
            .ok_or_else(|| broken("is not there"))?;
        let mut earlier = self.service(&root, &base, &node, above)?;
        // Who extends a service gets its contents, not its membership in profiles.
        earlier.target.profiles.clear();
        Ok(earlier.with(own))
    }
}

fn includes(root: &Node<'_>) -> Result<Vec<PathBuf>, BakeError> {
    let Some(list) = root.get("include") else {
        return Ok(Vec::new());
    };
    let mut paths = Vec::new();
    for item in list.items()? {
        let words = match item.get("path") {
            Some(path) => path.words()?,
            None => item.words()?,
        };
        paths.extend(words.into_iter().map(PathBuf::from));
    }
    Ok(paths)
}

/// The file and the service that `extends:` names.
fn extended(node: &Node<'_>) -> Result<(Option<PathBuf>, String), BakeError> {
    if !node.value.is_mapping() {
        return Ok((None, node.text()?));
    }
    let service = node
        .get("service")
        .ok_or_else(|| node.expected("a `service:`"))?;
    let file = node.get("file").map(|file| file.text()).transpose()?;
    Ok((file.map(PathBuf::from), service.text()?))
}

fn service(root: &Node<'_>, node: &Node<'_>) -> Result<Service, BakeError> {
    known::check(node, &known::OF_A_SERVICE)?;
    let mut service = Service {
        image: node.get("image").map(|image| image.text()).transpose()?,
        ..Service::default()
    };
    if let Some(profiles) = node.get("profiles") {
        service.target.profiles = profiles.words()?;
    }
    let Some(build) = node.get("build") else {
        return Ok(service);
    };
    service.builds = true;
    if !build.value.is_mapping() {
        service.target.context = local(root, &build.text()?);
        service.target.context_in = Some(build.place());
        return Ok(service);
    }
    let target = &mut service.target;
    target.context = local(root, ".");
    target.context_in = Some(build.place());
    for (key, value) in build.entries()? {
        keys::set(root, target, &key, &value)?;
    }
    Ok(service)
}

/// A path of the file, as a path of the working directory.
fn local(root: &Node<'_>, path: &str) -> String {
    let directory = &root.file.directory;
    if is_remote(path) || directory.as_os_str().is_empty() {
        return path.to_owned();
    }
    match path {
        "." => directory.display().to_string(),
        path => directory
            .join(path.strip_prefix("./").unwrap_or(path))
            .display()
            .to_string(),
    }
}
