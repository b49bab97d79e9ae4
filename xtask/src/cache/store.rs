// SPDX-License-Identifier: MIT OR Apache-2.0

//! Store of artifacts: each is there whole or not at all, and is made by one run at a time.
//!
//! An artifact is the directory `<cache>/<kind>/<key>/`. It is made as `<key>.partial` and renamed when it is complete.
//! A run that uses it holds a shared lock on `<key>.lock`, a run that makes it an exclusive one. The kernel drops both
//! when the process ends, so a `.partial` without a lock is a leftover; the next run that makes the artifact removes it.
//! Runs that find the artifact missing queue for a lock on `<key>.turn`, and so wait for the run that makes it but not for
//! the runs that use it.

use crate::{
    cache::{
        artifact::{Artifact, Parts},
        artifact_dir::{ArtifactDir, remove},
        manifest::{Inputs, Made, Manifest},
    },
    run::{Log, Progress, diagnosis::FULL_DISK, seconds},
    settings::{self, Settings},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::{self, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Instant,
};

const MIB: u64 = 1 << 20;

/// The number of times that [`Store::ensure_all`] tries before it gives up.
const ATTEMPTS: u32 = 3;

/// Recipe of one artifact.
pub(crate) trait Recipe {
    /// The directory below the cache, such as `kernel`.
    fn kind(&self) -> &'static str;

    /// The name in messages.
    fn title(&self) -> String {
        self.kind().to_owned()
    }

    /// The artifacts that this one is made from, each of another kind.
    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        Vec::new()
    }

    /// Everything else that the result depends on.
    fn inputs(&self, settings: &Settings) -> Result<Inputs>;

    /// The disk space that making it takes, in MiB.
    fn needs(&self) -> u64 {
        200
    }

    /// Makes the artifact in the empty directory `dir` from the artifacts of [`Recipe::parts`].
    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made>;
}

impl Parts {
    /// Returns the artifact of `recipe`. Panics if the recipe at work does not name it among its parts.
    pub(crate) fn of(&self, recipe: &dyn Recipe) -> &Artifact {
        let part = self.0.iter().find(|part| part.manifest.kind == recipe.kind());
        part.unwrap_or_else(|| panic!("{} is not among the parts", recipe.kind()))
    }
}

/// The artifacts of one user.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) settings: Settings,
    pub(crate) progress: Progress,
}

/// The reason why an artifact has to be made.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Absent,
    /// The artifact is there, but must not be used for this reason.
    Bad(String),
}

impl Store {
    /// Opens the cache, whose directory is made if it is missing.
    pub(crate) fn open(settings: Settings) -> Result<Self> {
        let store = Self { settings, progress: Progress::new() };
        let logs = store.log_dir();
        fs::create_dir_all(&logs).with_context(|| {
            format!("cannot make {}: set {} to a directory you can write to", logs.display(), settings::CACHE)
        })?;
        Ok(store)
    }

    /// Returns the directory of logs.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.settings.cache.join("log")
    }

    /// Creates the log `name`.
    pub(crate) fn log(&self, name: &str) -> Result<Log> {
        Log::create(self.log_dir().join(format!("{name}.log")), &self.progress)
    }

    /// Returns the artifact. It and what it is made from are made where they are missing, damaged or stale.
    pub(crate) fn ensure(&self, recipe: &dyn Recipe) -> Result<Artifact> {
        let [artifact] = self.ensure_all([recipe])?;
        Ok(artifact)
    }

    /// Returns artifacts that fit together: none of them was made from a part that another one has replaced.
    pub(crate) fn ensure_all<const N: usize>(&self, recipes: [&dyn Recipe; N]) -> Result<[Artifact; N]> {
        let artifacts = self.ensure_each(&recipes)?;
        Ok(artifacts.try_into().expect("there is an artifact for each recipe"))
    }

    /// Does the same as [`Store::ensure_all`] for any number of recipes.
    pub(crate) fn ensure_each(&self, recipes: &[&dyn Recipe]) -> Result<Vec<Artifact>> {
        for _ in 0..ATTEMPTS {
            let held = recipes.iter().map(|recipe| self.hold(*recipe)).collect::<Result<Option<Vec<_>>>>()?;
            if let Some(artifacts) = held {
                return Ok(artifacts);
            }
            // Nothing is held meanwhile: an artifact that is made may replace a part of one that was fit before.
            recipes.iter().try_for_each(|recipe| self.make(*recipe))?;
        }
        let cache = self.settings.cache.display();
        bail!("artifacts in {cache} keep changing while they are read; is another program writing there?")
    }

    /// Returns the artifact if it is there and fit.
    fn hold(&self, recipe: &dyn Recipe) -> Result<Option<Artifact>> {
        let dir = self.artifact_dir(recipe)?;
        if !dir.parent.exists() {
            return Ok(None);
        }
        let lock = dir.open_lock()?;
        self.wait(recipe, lock.try_lock_shared(), || lock.lock_shared())?;
        Ok(self.examine(&dir).ok().map(|manifest| Artifact::new(dir.dir, manifest, lock)))
    }

    /// Makes the artifact unless it is there and fit.
    fn make(&self, recipe: &dyn Recipe) -> Result<()> {
        let inputs = self.inputs(recipe)?;
        let dir = ArtifactDir::new(&self.settings.cache, recipe.kind(), &inputs.key());
        fs::create_dir_all(&dir.parent).with_context(|| format!("cannot make {}", dir.parent.display()))?;
        let turn = dir.open_turn()?;
        self.wait(recipe, turn.try_lock(), || turn.lock())?;
        // Another run may have made it while this one waited.
        if self.hold(recipe)?.is_some() {
            return Ok(());
        }
        let lock = dir.open_lock()?;
        self.wait(recipe, lock.try_lock(), || lock.lock())?;
        match self.examine(&dir) {
            Ok(_) => Ok(()),
            Err(unfit) => self.replace(recipe, &inputs, &dir, &unfit).map_err(|error| self.explain_full_disk(error)),
        }
    }

    /// Returns the path of an artifact's directory, which need not exist.
    pub(crate) fn dir_of(&self, recipe: &dyn Recipe) -> Result<PathBuf> {
        Ok(self.artifact_dir(recipe)?.dir)
    }

    fn artifact_dir(&self, recipe: &dyn Recipe) -> Result<ArtifactDir> {
        Ok(ArtifactDir::new(&self.settings.cache, recipe.kind(), &self.inputs(recipe)?.key()))
    }

    /// Returns all inputs of a recipe: its own, and the keys of its parts.
    fn inputs(&self, recipe: &dyn Recipe) -> Result<Inputs> {
        let mut inputs = recipe.inputs(&self.settings)?.text("kind", recipe.kind());
        for part in recipe.parts() {
            inputs = inputs.text(format!("part {}", part.kind()), self.inputs(part.as_ref())?.key());
        }
        Ok(inputs)
    }

    /// Waits for a lock that was `tried`, if need be, and says so.
    fn wait(
        &self,
        recipe: &dyn Recipe,
        tried: Result<(), TryLockError>,
        block: impl FnOnce() -> io::Result<()>,
    ) -> Result<()> {
        match tried {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                let title = recipe.title();
                self.progress.say(format!("    {title}: another run is at work on it, waiting for that"));
                let _task = self.progress.task(format!("{title}: waiting"));
                block().context("cannot lock in the cache")
            }
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock in the cache"),
        }
    }

    /// Verifies an artifact, on which this run has a lock.
    fn examine(&self, dir: &ArtifactDir) -> Result<Manifest, Unfit> {
        let manifest = match Manifest::read(&dir.dir) {
            Ok(Some(manifest)) => manifest,
            Ok(None) if dir.dir.exists() => return Err(Unfit::Bad("its manifest is missing".to_owned())),
            Ok(None) => return Err(Unfit::Absent),
            Err(error) => return Err(Unfit::Bad(format!("{error:#}"))),
        };
        for part in &manifest.made_from {
            let dir = ArtifactDir::new(&self.settings.cache, &part.kind, &part.key).dir;
            // A part that is missing or damaged matters only to what is made from it next.
            if let Ok(Some(now)) = Manifest::read(&dir)
                && now.identity() != part.identity
            {
                return Err(Unfit::Bad(format!("the {} it was made from has been replaced", part.kind)));
            }
        }
        manifest.verify(&dir.dir).map_err(Unfit::Bad)?;
        Ok(manifest)
    }

    /// Makes an artifact, on which this run has an exclusive lock.
    fn replace(&self, recipe: &dyn Recipe, inputs: &Inputs, dir: &ArtifactDir, unfit: &Unfit) -> Result<()> {
        let title = recipe.title();
        if let Unfit::Bad(reason) = unfit {
            self.progress.say(format!("    {title}: {reason}; making it again"));
        }
        self.check_room(recipe)?;
        let parts = recipe.parts();
        let parts = Parts(self.ensure_each(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?);
        if dir.partial.exists() {
            self.progress.say(format!("    {title}: removing what was left by a run that was interrupted"));
            remove(&dir.partial)?;
        }
        fs::create_dir(&dir.partial).with_context(|| format!("cannot make {}", dir.partial.display()))?;
        self.progress.say(format!("==> {title}"));
        let begun = Instant::now();
        let made = recipe.make(self, &parts, &dir.partial).and_then(|mut made| {
            // The user may have edited a source during the build.
            ensure!(self.inputs(recipe)? == *inputs, "its sources changed in the meantime: run this again");
            made.from = parts.0.iter().map(Artifact::part).collect();
            Manifest::of(&dir.partial, recipe.kind(), inputs.clone(), made)?.write(&dir.partial)
        });
        if let Err(error) = made {
            // Incomplete output is of no use; the logs are elsewhere.
            let _ = fs::remove_dir_all(&dir.partial);
            return Err(error.context(format!("cannot make the {title}")));
        }
        dir.publish()?;
        self.progress.say(format!("    {title}: done in {}", seconds(begun.elapsed())));
        Ok(())
    }

    /// Fails if the disk would be full only after minutes of work.
    fn check_room(&self, recipe: &dyn Recipe) -> Result<()> {
        let need = self.missing(recipe)? * MIB;
        let free = free_bytes(&self.settings.cache)?;
        if free < need { Err(self.full_disk(free, Some(need))) } else { Ok(()) }
    }

    /// Returns the disk space, in MiB, that a recipe and those of its parts take that are missing.
    fn missing(&self, recipe: &dyn Recipe) -> Result<u64> {
        let mut counted = vec![self.dir_of(recipe)?];
        let mut need = recipe.needs();
        let mut pending = recipe.parts();
        while let Some(part) = pending.pop() {
            let dir = self.dir_of(part.as_ref())?;
            if !counted.contains(&dir) && !dir.exists() {
                need += part.needs();
                pending.extend(part.parts());
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
}

fn free_bytes(dir: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(dir).with_context(|| format!("cannot ask how full {} is", dir.display()))?;
    Ok(stat.f_bavail * stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;
    use crate::cache::artifact_dir::subdirectories;

    /// A recipe that makes one file, and counts how many times.
    #[derive(Clone, Default)]
    struct Toy {
        name: &'static str,
        content: &'static str,
        parts: Vec<Toy>,
        made: Arc<AtomicU32>,
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

        fn parts(&self) -> Vec<Box<dyn Recipe>> {
            self.parts.iter().map(|part| Box::new(part.clone()) as Box<dyn Recipe>).collect()
        }

        fn inputs(&self, _: &Settings) -> Result<Inputs> {
            // The content stands for what is fetched from a mirror, which is not an input.
            let inputs = Inputs::default().text("name", self.name);
            Ok(if self.content == "edited" { inputs.text("edits", self.count().to_string()) } else { inputs })
        }

        fn make(&self, _: &Store, _: &Parts, dir: &Path) -> Result<Made> {
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
        let whole = |content| Toy { parts: vec![Toy::new("part", content)], ..Toy::new("whole", "x") };
        let before = whole("1");
        store.ensure(&before).unwrap();
        // The mirror has a newer version when the part is fetched again.
        remove(&store.dir_of(&before.parts[0]).unwrap()).unwrap();
        let after = whole("2");
        store.ensure(&after).unwrap();
        assert_eq!(after.count(), 0, "a part that is only missing does not matter until it is needed");
        store.ensure(&after.parts[0]).unwrap();
        store.ensure(&after).unwrap();
        assert_eq!(after.count(), 1);
    }

    #[test]
    fn ensure_of_parts_that_share_a_replaced_part_makes_both_from_the_new_one() {
        let (_dir, store) = store();
        let made_from = |name, content| Toy { parts: vec![Toy::new("shared", content)], ..Toy::new(name, "x") };
        let whole = |content| {
            let parts = vec![made_from("early", content), made_from("late", content)];
            Toy { parts, ..Toy::new("whole", "x") }
        };
        let before = whole("1");
        store.ensure(&before.parts[0]).unwrap();
        remove(&store.dir_of(&before.parts[0].parts[0]).unwrap()).unwrap();
        // The early part is fit as long as the shared one is missing, and stale once the late one has had it made
        // again.
        let after = whole("2");
        store.ensure(&after).unwrap();
        assert_eq!([&after, &after.parts[0], &after.parts[1]].map(Toy::count), [1, 1, 1]);
    }

    #[test]
    fn ensure_of_a_part_that_another_part_makes_stale_does_not_wait_for_itself() {
        let (_dir, store) = store();
        let shared = |content| Toy::new("shared", content);
        let early = |content| Toy { parts: vec![shared(content)], ..Toy::new("early", "x") };
        store.ensure(&early("1")).unwrap();
        remove(&store.dir_of(&shared("1")).unwrap()).unwrap();
        // As the module is made from the kernel's source and from the kernel, and the initramfs from both kernel and
        // module.
        let late = Toy { parts: vec![shared("2"), early("2")], ..Toy::new("late", "x") };
        let whole = Toy { parts: vec![early("2"), late], ..Toy::new("whole", "x") };
        store.ensure(&whole).unwrap();
        assert_eq!(whole.count(), 1);
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
    fn ensure_after_a_killed_run_makes_again() {
        let (_dir, store) = store();
        let toy = Toy::new("toy", "x");
        let artifact = store.ensure(&toy).unwrap().dir;
        fs::rename(&artifact, artifact.with_extension("partial")).unwrap();
        store.ensure(&toy).unwrap();
        assert_eq!(toy.count(), 2);
    }

    #[test]
    fn ensure_of_runs_at_once_makes_once_and_does_not_wait_for_users() {
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
