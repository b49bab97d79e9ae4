// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cache: an artifact is there whole or not at all, and is made by one run at a time.
//!
//! An artifact is the directory `<cache>/<kind>/<key>/`, made as `<key>.partial` and renamed when complete. Who uses it
//! holds a shared lock on `<key>.lock`, who makes it an exclusive one; the kernel drops both when a process dies, so a
//! `.partial` that nobody holds is a leftover. Runs that find it missing take turns by a lock on `<key>.turn`: they wait for
//! its making only, and not for those who use it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::artifact_dir::{ArtifactDir, open_lock, remove, subdirectories};
use crate::cache::manifest::{Inputs, Made, Manifest, Part};
use crate::run::diagnosis::FULL_DISK;
use crate::run::progress::{Progress, seconds};
use crate::settings::{self, Settings};

const MIB: u64 = 1 << 20;

/// How one kind of artifact is made.
pub(crate) trait Recipe {
    /// The directory below the cache, such as `kernel`.
    fn kind(&self) -> &'static str;

    /// The name people read.
    fn title(&self) -> String {
        self.kind().to_owned()
    }

    /// The artifacts this one is made from, each after those it is itself made from.
    fn parts(&self) -> Vec<&dyn Recipe> {
        Vec::new()
    }

    /// Everything else that the result depends on.
    fn inputs(&self, settings: &Settings) -> Result<Inputs>;

    /// The disk space that making it takes, in MiB.
    fn needs(&self) -> u64;

    /// Makes the artifact in the empty directory `dir`; `parts` are what [`Recipe::parts`] named, in that order.
    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made>;
}

/// An artifact that is complete, verified, and stays so while this value lives.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
    _lock: File,
}

impl Artifact {
    /// The absolute path of something in the artifact.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    fn part(&self) -> Part {
        let Manifest { kind, key, .. } = &self.manifest;
        Part { kind: kind.clone(), key: key.clone(), identity: self.manifest.identity() }
    }
}

/// The artifacts of one user.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) settings: Settings,
    pub(crate) progress: Progress,
}

/// Why an artifact has to be made.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Absent,
    /// It is there but must not be used.
    Bad(String),
}

impl Store {
    /// Opens the cache, making its directory if need be, and clears what interrupted runs left there.
    pub(crate) fn open(settings: Settings) -> Result<Self> {
        let store = Self { settings, progress: Progress::new() };
        let logs = store.log_dir();
        fs::create_dir_all(&logs).with_context(|| {
            format!("cannot make {}: set {} to a directory you can write to", logs.display(), settings::CACHE)
        })?;
        store.sweep()?;
        Ok(store)
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.settings.cache.join("log")
    }

    /// Gives the artifact, making it and what it is made from where that is missing, damaged or stale.
    pub(crate) fn ensure(&self, recipe: &dyn Recipe) -> Result<Artifact> {
        let inputs = self.inputs(recipe)?;
        let place = ArtifactDir::new(&self.settings.cache, recipe.kind(), &inputs.key());
        fs::create_dir_all(&place.parent).with_context(|| format!("cannot make {}", place.parent.display()))?;
        let title = recipe.title();
        // The second round finds what the first one made, or what another run made in between.
        for _ in 0..3 {
            if let Some(held) = self.hold(&title, &place)? {
                return Ok(held);
            }
            let turn = place.open_turn()?;
            self.wait(&title, turn.try_lock(), || turn.lock())?;
            if let Some(held) = self.hold(&title, &place)? {
                return Ok(held);
            }
            let lock = place.open_lock()?;
            self.wait(&title, lock.try_lock(), || lock.lock())?;
            if let Err(unfit) = self.examine(&place) {
                self.replace(recipe, &inputs, &place, &unfit).map_err(|error| self.explain_full_disk(error))?;
            }
        }
        bail!("{title}: {} keeps changing while it is read; is something else writing there?", place.dir.display())
    }

    /// The artifact, if it is there and fit.
    fn hold(&self, title: &str, place: &ArtifactDir) -> Result<Option<Artifact>> {
        let lock = place.open_lock()?;
        self.wait(title, lock.try_lock_shared(), || lock.lock_shared())?;
        let held = |manifest| Artifact { dir: place.dir.clone(), manifest, _lock: lock };
        Ok(self.examine(place).ok().map(held))
    }

    /// The path of an artifact's directory, whether it is there or not.
    pub(crate) fn dir_of(&self, recipe: &dyn Recipe) -> Result<PathBuf> {
        Ok(ArtifactDir::new(&self.settings.cache, recipe.kind(), &self.inputs(recipe)?.key()).dir)
    }

    /// All inputs of a recipe: its own, and the keys of its parts.
    fn inputs(&self, recipe: &dyn Recipe) -> Result<Inputs> {
        let mut inputs = recipe.inputs(&self.settings)?.text("kind", recipe.kind());
        for part in recipe.parts() {
            inputs = inputs.text(format!("part {}", part.kind()), self.inputs(part)?.key());
        }
        Ok(inputs)
    }

    fn wait(&self, title: &str, tried: Result<(), TryLockError>, block: impl FnOnce() -> io::Result<()>) -> Result<()> {
        match tried {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                self.progress.say(format!("    {title}: another run is at work on it, waiting for that"));
                let _task = self.progress.task(format!("{title}: waiting"));
                block().context("cannot lock in the cache")
            }
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock in the cache"),
        }
    }

    fn examine(&self, place: &ArtifactDir) -> Result<Manifest, Unfit> {
        let manifest = match Manifest::read(&place.dir) {
            Ok(Some(manifest)) => manifest,
            Ok(None) if place.dir.exists() => return Err(Unfit::Bad("its manifest is missing".to_owned())),
            Ok(None) => return Err(Unfit::Absent),
            Err(error) => return Err(Unfit::Bad(format!("{error:#}"))),
        };
        for part in &manifest.made_from {
            let dir = ArtifactDir::new(&self.settings.cache, &part.kind, &part.key).dir;
            // A part that is gone or damaged does no harm until somebody builds from it.
            if let Ok(Some(now)) = Manifest::read(&dir)
                && now.identity() != part.identity
            {
                return Err(Unfit::Bad(format!("the {} it was made from has been replaced", part.kind)));
            }
        }
        manifest.verify(&place.dir).map_err(Unfit::Bad)?;
        Ok(manifest)
    }

    fn replace(&self, recipe: &dyn Recipe, inputs: &Inputs, place: &ArtifactDir, unfit: &Unfit) -> Result<()> {
        let title = recipe.title();
        if let Unfit::Bad(reason) = unfit {
            self.progress.say(format!("    {title}: {reason}; making it again"));
        }
        self.check_room(recipe)?;
        let parts = recipe.parts().into_iter().map(|part| self.ensure(part)).collect::<Result<Vec<_>>>()?;
        self.progress.say(format!("==> {title}"));
        let begun = Instant::now();
        place.clear_partial()?;
        fs::create_dir(&place.partial).with_context(|| format!("cannot make {}", place.partial.display()))?;
        let made = recipe.make(self, &parts, &place.partial).and_then(|mut made| {
            // Somebody may have edited a source while it was being built.
            ensure!(self.inputs(recipe)? == *inputs, "its sources changed in the meantime: run this again");
            made.from = parts.iter().map(Artifact::part).collect();
            Manifest::of(&place.partial, recipe.kind(), inputs.clone(), made)?.write(&place.partial)
        });
        if let Err(error) = made {
            // What was made so far only takes room; the logs, which are elsewhere, tell what happened.
            let _ = fs::remove_dir_all(&place.partial);
            return Err(error.context(format!("cannot make the {title}")));
        }
        place.publish()?;
        self.progress.say(format!("    {title}: done in {}", seconds(begun.elapsed())));
        Ok(())
    }

    /// Fails at once where the disk would be full only after minutes of work.
    fn check_room(&self, recipe: &dyn Recipe) -> Result<()> {
        let need = self.missing(recipe)? * MIB;
        let free = free_bytes(&self.settings.cache)?;
        if free < need { Err(self.full_disk(free, Some(need))) } else { Ok(()) }
    }

    /// The disk space, in MiB, that a recipe takes together with those of its parts that are not there.
    fn missing(&self, recipe: &dyn Recipe) -> Result<u64> {
        let mut counted = Vec::new();
        let mut pending = vec![recipe];
        let mut need = 0;
        while let Some(recipe) = pending.pop() {
            let dir = self.dir_of(recipe)?;
            if !counted.contains(&dir) && (counted.is_empty() || !dir.exists()) {
                need += recipe.needs();
                pending.extend(recipe.parts());
                counted.push(dir);
            }
        }
        Ok(need)
    }

    fn full_disk(&self, free: u64, need: Option<u64>) -> anyhow::Error {
        let need = need.map(|need| format!(", and the work at hand takes {} MiB", need / MIB)).unwrap_or_default();
        anyhow::anyhow!(
            "{FULL_DISK}: {} has {} MiB free{need}; free some space (`cargo xtask clean` removes artifacts that are \
             no longer used) or set {} to a directory on a larger disk",
            self.settings.cache.display(),
            free / MIB,
            settings::CACHE
        )
    }

    fn explain_full_disk(&self, error: anyhow::Error) -> anyhow::Error {
        let full = error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
                || cause.to_string() == FULL_DISK
        });
        match free_bytes(&self.settings.cache) {
            Ok(free) if full && !format!("{error:#}").contains(settings::CACHE) => {
                error.context(self.full_disk(free, None).to_string())
            }
            _ => error,
        }
    }

    /// Removes what interrupted runs left, unless a run is at work on it.
    fn sweep(&self) -> Result<()> {
        for kind in subdirectories(&self.settings.cache)? {
            for leftover in subdirectories(&kind)?.into_iter().filter(|dir| dir.extension() == Some("partial".as_ref()))
            {
                let lock = open_lock(&leftover.with_extension("lock"))?;
                if lock.try_lock().is_ok() {
                    self.progress
                        .say(format!("    removing {}, left by a run that was interrupted", leftover.display()));
                    remove(&leftover)?;
                }
            }
        }
        Ok(())
    }
}

fn free_bytes(dir: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(dir).with_context(|| format!("cannot ask how full {} is", dir.display()))?;
    Ok(stat.f_bavail * stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    /// Makes one file, and counts how often.
    #[derive(Default)]
    struct Toy {
        name: &'static str,
        content: &'static str,
        part: Option<Box<Toy>>,
        made: AtomicU32,
    }

    impl Toy {
        fn new(name: &'static str, content: &'static str) -> Self {
            Self { name, content, ..Self::default() }
        }

        fn count(&self) -> u32 {
            self.made.load(Ordering::SeqCst)
        }
    }

    impl Recipe for Toy {
        fn kind(&self) -> &'static str {
            self.name
        }

        fn parts(&self) -> Vec<&dyn Recipe> {
            self.part.iter().map(|part| part.as_ref() as &dyn Recipe).collect()
        }

        fn inputs(&self, _: &Settings) -> Result<Inputs> {
            // What is fetched is not an input: it can differ the next time.
            let inputs = Inputs::default().text("name", self.name);
            Ok(if self.content == "edited" { inputs.text("edits", self.count().to_string()) } else { inputs })
        }

        fn needs(&self) -> u64 {
            0
        }

        fn make(&self, _: &Store, _: &[Artifact], dir: &Path) -> Result<Made> {
            assert_eq!(fs::read_dir(dir)?.count(), 0, "a recipe starts in an empty directory");
            self.made.fetch_add(1, Ordering::SeqCst);
            fs::write(dir.join("file"), self.content)?;
            anyhow::ensure!(self.content != "spoiled", "the recipe failed");
            Ok(Made { files: vec!["file".into()], ..Made::default() })
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        (dir, store)
    }

    fn open(cache: &Path) -> Store {
        Store::open(Settings {
            checkout: cache.to_path_buf(),
            cache: cache.to_path_buf(),
            mirror: None,
            kernel_tree: None,
            qemu: None,
            qemu_data: None,
        })
        .unwrap()
    }

    #[test]
    fn ensure_twice_makes_once() {
        let (_dir, store) = store();
        let toy = Toy::new("toy", "x");
        assert_eq!(fs::read_to_string(store.ensure(&toy).unwrap().path("file")).unwrap(), "x");
        store.ensure(&toy).unwrap();
        assert_eq!(toy.count(), 1);
    }

    #[test]
    fn ensure_after_a_byte_changed_makes_again() {
        let (_dir, store) = store();
        let toy = Toy::new("toy", "x");
        fs::write(store.ensure(&toy).unwrap().path("file"), "y").unwrap();
        assert_eq!(fs::read_to_string(store.ensure(&toy).unwrap().path("file")).unwrap(), "x");
        assert_eq!(toy.count(), 2);
    }

    #[test]
    fn ensure_without_a_manifest_makes_again() {
        let (_dir, store) = store();
        let toy = Toy::new("toy", "x");
        fs::remove_file(store.ensure(&toy).unwrap().path(crate::cache::manifest::FILE_NAME)).unwrap();
        store.ensure(&toy).unwrap();
        assert_eq!(toy.count(), 2);
    }

    #[test]
    fn ensure_with_a_replaced_part_makes_again() {
        let (_dir, store) = store();
        let whole = |content| Toy { part: Some(Box::new(Toy::new("part", content))), ..Toy::new("whole", "x") };
        let before = whole("1");
        store.ensure(&before).unwrap();
        // The mirror has something newer when the part has to be fetched again.
        store.sweep().unwrap();
        remove(&store.dir_of(before.parts()[0]).unwrap()).unwrap();
        let after = whole("2");
        store.ensure(&after).unwrap();
        assert_eq!(after.count(), 0, "a part that is only missing does not matter until it is needed");
        store.ensure(after.parts()[0]).unwrap();
        store.ensure(&after).unwrap();
        assert_eq!(after.count(), 1);
    }

    #[test]
    fn ensure_of_a_recipe_that_fails_leaves_nothing() {
        let (_dir, store) = store();
        let toy = Toy::new("toy", "spoiled");
        let error = store.ensure(&toy).unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot make the toy: the recipe failed");
        assert_eq!(subdirectories(&store.settings.cache.join("toy")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn ensure_of_a_source_edited_meanwhile_keeps_nothing() {
        let (_dir, store) = store();
        let error = store.ensure(&Toy::new("toy", "edited")).unwrap_err();
        assert!(format!("{error:#}").contains("its sources changed in the meantime: run this again"));
        assert_eq!(subdirectories(&store.settings.cache.join("toy")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn open_removes_what_a_killed_run_left() {
        let (dir, store) = store();
        let toy = Toy::new("toy", "x");
        let artifact = store.ensure(&toy).unwrap().dir;
        let partial = artifact.with_extension("partial");
        fs::rename(&artifact, &partial).unwrap();
        let store = open(dir.path());
        assert!(!partial.exists());
        store.ensure(&toy).unwrap();
        assert_eq!(toy.count(), 2);
    }

    #[test]
    fn open_leaves_what_another_run_is_making() {
        let (dir, store) = store();
        let partial = dir.path().join("toy/abc.partial");
        fs::create_dir_all(&partial).unwrap();
        let lock = open_lock(&partial.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        store.sweep().unwrap();
        assert!(partial.exists());
    }

    #[test]
    fn ensure_of_runs_at_once_makes_once_and_waits_for_nobody_who_uses_it() {
        let (dir, store) = store();
        let stores: Vec<Store> = (0..8).map(|_| open(dir.path())).collect();
        let toy = Toy::new("toy", "x");
        let lock = ArtifactDir::new(dir.path(), "toy", &store.inputs(&toy).unwrap().key());
        fs::create_dir_all(&lock.parent).unwrap();
        let gate = lock.open_lock().unwrap();
        gate.lock().unwrap();
        let held: Vec<Artifact> = thread::scope(|scope| {
            let runs: Vec<_> = stores.iter().map(|store| scope.spawn(|| store.ensure(&toy).unwrap())).collect();
            gate.unlock().unwrap();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert!(held.iter().all(|held| fs::read_to_string(held.path("file")).unwrap() == "x"));
        assert_eq!(toy.count(), 1);
    }

    #[test]
    fn full_disk_names_the_directory_and_the_variable() {
        let (dir, store) = store();
        let error = io::Error::from(io::ErrorKind::StorageFull);
        let text = format!("{:#}", store.explain_full_disk(error.into()));
        assert!(text.contains(&dir.path().display().to_string()) && text.contains(settings::CACHE), "{text}");
        let command = anyhow::anyhow!("tar: failed").context(FULL_DISK).context("cannot make the toy");
        assert!(format!("{:#}", store.explain_full_disk(command)).contains(settings::CACHE));
    }
}
