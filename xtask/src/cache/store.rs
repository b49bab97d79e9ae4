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
        manifest::{FILE_NAME, Inputs, Manifest},
        recipe::{Artifact, Recipe, Work},
    },
    run::{Log, Progress, diagnosis::FULL_DISK, seconds},
    settings::{self, Settings},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Instant,
};

const MIB: u64 = 1 << 20;

/// The number of times that [`Store::ensure_all`] tries before it gives up.
const ATTEMPTS: u32 = 3;

/// The artifacts of one user.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) settings: Settings,
    pub(crate) progress: Progress,
}

impl Store {
    /// Opens the cache, whose directory is made if it is missing.
    pub(crate) fn open(settings: Settings) -> Result<Self> {
        let store = Self { settings, progress: Progress::new() };
        make_writable(&store.settings.cache.join("log"))?;
        Ok(store)
    }

    /// Creates the log `name`.
    pub(crate) fn log(&self, name: &str) -> Result<Log> {
        Log::create(self.settings.cache.join("log").join(format!("{name}.log")), &self.progress)
    }

    /// Returns the artifact. It and what it is made from are made where they are missing, damaged or stale.
    pub(crate) fn ensure(&self, recipe: &Recipe) -> Result<Artifact> {
        let [artifact] = self.ensure_all([recipe])?;
        Ok(artifact)
    }

    /// Returns artifacts that fit together: none of them was made from a part that another one has replaced.
    pub(crate) fn ensure_all<const N: usize>(&self, recipes: [&Recipe; N]) -> Result<[Artifact; N]> {
        let artifacts = self.ensure_each(recipes)?;
        Ok(artifacts.try_into().expect("there is an artifact for each recipe"))
    }

    /// Does the same as [`Store::ensure_all`] for any number of recipes.
    pub(crate) fn ensure_each<'r>(&self, recipes: impl IntoIterator<Item = &'r Recipe>) -> Result<Vec<Artifact>> {
        let recipes: Vec<&Recipe> = recipes.into_iter().collect();
        for _ in 0..ATTEMPTS {
            let held = recipes.iter().map(|recipe| self.hold(recipe)).collect::<Result<Option<Vec<_>>>>()?;
            if let Some(artifacts) = held {
                return Ok(artifacts);
            }
            // Nothing is held meanwhile: an artifact that is made may replace a part of one that was fit before.
            recipes.iter().try_for_each(|recipe| self.make(recipe))?;
        }
        let cache = self.settings.cache.display();
        bail!("artifacts in {cache} keep changing while they are read; is another program writing there?")
    }

    /// Returns the artifact if it is there and fit.
    fn hold(&self, recipe: &Recipe) -> Result<Option<Artifact>> {
        let dir = self.dir_of(recipe)?;
        if !dir.with_file_name("").exists() {
            return Ok(None);
        }
        let lock = self.lock(recipe, &dir.with_extension("lock"), true)?;
        Ok(self.examine(&dir).ok().map(|manifest| Artifact::new(recipe, dir, manifest, lock)))
    }

    /// Makes the artifact unless it is there and fit.
    fn make(&self, recipe: &Recipe) -> Result<()> {
        let dir = self.dir_of(recipe)?;
        make_writable(&dir.with_file_name(""))?;
        let _turn = self.lock(recipe, &dir.with_extension("turn"), false)?;
        // Another run may have made it while this one waited.
        if self.hold(recipe)?.is_some() {
            return Ok(());
        }
        let _lock = self.lock(recipe, &dir.with_extension("lock"), false)?;
        match self.examine(&dir) {
            Ok(_) => Ok(()),
            Err(unfit) => self.replace(recipe, &dir, unfit).map_err(|error| self.explain_full_disk(error)),
        }
    }

    /// Returns the path of an artifact's directory, which need not exist.
    pub(crate) fn dir_of(&self, recipe: &Recipe) -> Result<PathBuf> {
        Ok(self.settings.cache.join(recipe.kind).join(self.inputs(recipe)?.key()))
    }

    /// Returns all inputs of a recipe: its own, and the keys of its parts.
    fn inputs(&self, recipe: &Recipe) -> Result<Inputs> {
        let own = (recipe.read)(recipe.texts.clone(), &self.settings)?.text("kind", recipe.kind);
        recipe
            .parts
            .iter()
            .try_fold(own, |inputs, part| Ok(inputs.text(format!("part {}", part.kind), self.inputs(part)?.key())))
    }

    /// Waits for the lock of a file, if need be, and says so.
    fn lock(&self, recipe: &Recipe, file: &Path, is_shared: bool) -> Result<File> {
        let opened = File::options().create(true).truncate(false).write(true).open(file);
        let lock = opened.with_context(|| unwritable("open", file))?;
        let tried = if is_shared { lock.try_lock_shared() } else { lock.try_lock() };
        if let Err(TryLockError::WouldBlock) = tried {
            let title = &recipe.title;
            self.progress.say(format!("    {title}: another run is at work on it, waiting for that"));
            let _task = self.progress.task(format!("{title}: waiting"));
            if is_shared { lock.lock_shared() } else { lock.lock() }.context("cannot lock in the cache")?;
        } else {
            tried.context("cannot lock in the cache")?;
        }
        Ok(lock)
    }

    /// Verifies an artifact, on which this run has a lock. The error says why it cannot be used if it is there.
    fn examine(&self, dir: &Path) -> Result<Manifest, Option<String>> {
        let manifest = match Manifest::read(dir) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Err(dir.exists().then(|| "its manifest is missing".to_owned())),
            Err(error) => return Err(Some(format!("{error:#}"))),
        };
        for part in &manifest.made_from {
            // A part that is missing or damaged matters only to what is made from it next.
            if let Ok(Some(now)) = Manifest::read(&self.settings.cache.join(&part.kind).join(&part.key))
                && now.identity() != part.identity
            {
                return Err(Some(format!("the {} it was made from has been replaced", part.kind)));
            }
        }
        manifest.verify(dir).map_err(Some)?;
        Ok(manifest)
    }

    /// Makes an artifact, on which this run has an exclusive lock.
    fn replace(&self, recipe: &Recipe, dir: &Path, unfit: Option<String>) -> Result<()> {
        let title = &recipe.title;
        if let Some(reason) = unfit {
            self.progress.say(format!("    {title}: {reason}; making it again"));
        }
        self.check_room(recipe)?;
        let parts = self.ensure_each(&recipe.parts)?;
        let partial = dir.with_extension("partial");
        if partial.exists() {
            self.progress.say(format!("    {title}: removing what was left by a run that was interrupted"));
            remove(&partial)?;
        }
        fs::create_dir(&partial).with_context(|| unwritable("make", &partial))?;
        self.progress.say(format!("==> {title}"));
        let begun = Instant::now();
        if let Err(error) = self.make_in(recipe, &parts, &partial) {
            // Incomplete output is of no use; the logs are elsewhere.
            let _ = fs::remove_dir_all(&partial);
            return Err(error.context(format!("cannot make the {title}")));
        }
        // A process that is killed in here leaves the complete new artifact or none.
        if dir.exists() {
            remove(dir)?;
        }
        fs::rename(&partial, dir).with_context(|| unwritable("rename", &partial))?;
        self.progress.say(format!("    {title}: done in {}", seconds(begun.elapsed())));
        Ok(())
    }

    /// Makes an artifact in an empty directory, with its manifest.
    fn make_in(&self, recipe: &Recipe, parts: &[Artifact], dir: &Path) -> Result<()> {
        let work = Work { store: self, settings: &self.settings, log: self.log(&recipe.log)?, dir, parts };
        let made = (recipe.make)(&work)?.with(&recipe.output);
        let inputs = self.inputs(recipe)?;
        // The user may have edited a source during the build.
        ensure!(dir.ends_with(inputs.key() + ".partial"), "its sources changed in the meantime: run this again");
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if !made.has(Path::new(&entry.file_name())) {
                let remove = if entry.file_type()?.is_dir() { fs::remove_dir_all } else { fs::remove_file };
                remove(entry.path())?;
            }
        }
        let made_from = parts.iter().map(|part| part.manifest.part()).collect();
        Manifest::of(dir, recipe.kind, inputs, made_from, made)?.write(dir)
    }

    /// Fails if the disk would be full only after minutes of work.
    fn check_room(&self, recipe: &Recipe) -> Result<()> {
        let need = self.missing(recipe, &mut Vec::new())? * MIB;
        let free = free_bytes(&self.settings.cache)?;
        if free < need { Err(self.full_disk(free, Some(need))) } else { Ok(()) }
    }

    /// Returns the disk space, in MiB, that a recipe and those of its parts take that are missing and not yet counted.
    fn missing(&self, recipe: &Recipe, counted: &mut Vec<PathBuf>) -> Result<u64> {
        let mut need = recipe.needs;
        for part in &recipe.parts {
            let dir = self.dir_of(part)?;
            if !counted.contains(&dir) && !dir.exists() {
                counted.push(dir);
                need += self.missing(part, counted)?;
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

fn unwritable(what: &str, path: &Path) -> String {
    format!("cannot {what} {}: set {} to a directory you can write to", path.display(), settings::CACHE)
}

fn make_writable(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| unwritable("make", dir))
}

/// Removes an artifact. The manifest goes first, so that an artifact that is removed in part is not taken for a
/// complete one.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    let manifest = dir.join(FILE_NAME);
    let removed = if manifest.exists() { fs::remove_file(manifest) } else { Ok(()) };
    removed.and_then(|()| fs::remove_dir_all(dir)).with_context(|| format!("cannot remove {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        thread,
    };

    use super::*;
    use crate::cache::Made;

    /// The kinds of toys that were made, in order.
    type Record = Arc<Mutex<Vec<&'static str>>>;

    /// Returns a recipe that makes one file. The content stands for what is fetched from a mirror, which is not an input.
    fn toy(kind: &'static str, content: &'static str, parts: Vec<Recipe>, made: &Record) -> Recipe {
        let (record, count) = (made.clone(), made.clone());
        let make = move |work: &Work<'_>| {
            assert_eq!(fs::read_dir(work.dir)?.count(), 0, "a recipe starts in an empty directory");
            record.lock().unwrap().push(kind);
            fs::write(work.path("file"), content)?;
            fs::write(work.path("scratch"), "")?;
            ensure!(content != "spoiled", "the recipe failed");
            Ok(Made::default())
        };
        let edits = move || if content == "edited" { count.lock().unwrap().len() } else { 0 };
        let recipe = Recipe::new(kind, kind, make).file("file").parts(parts);
        recipe.read(move |inputs, _| Ok(inputs.text("edits", edits().to_string())))
    }

    fn single(content: &'static str, made: &Record) -> Recipe {
        toy("toy", content, Vec::new(), made)
    }

    fn store() -> (tempfile::TempDir, Store, Record) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        (dir, store, Record::default())
    }

    fn open(cache: &Path) -> Store {
        Store::open(Settings { cache: cache.to_path_buf(), ..Settings::from_env().unwrap() }).unwrap()
    }

    fn content(artifact: &Artifact) -> String {
        fs::read_to_string(artifact.file()).unwrap()
    }

    #[test]
    fn ensure_twice_makes_once_and_keeps_what_is_handed_out() {
        let (_dir, store, made) = store();
        let toy = single("x", &made);
        assert_eq!(content(&store.ensure(&toy).unwrap()), "x");
        assert!(!store.ensure(&toy).unwrap().path("scratch").exists());
        assert_eq!(*made.lock().unwrap(), ["toy"]);
    }

    #[test]
    fn ensure_of_what_was_damaged_or_left_by_a_killed_run_makes_again() {
        let (_dir, store, made) = store();
        let toy = single("x", &made);
        let damages: [fn(&Path); 3] = [
            |dir| fs::write(dir.join("file"), "y").unwrap(),
            |dir| fs::remove_file(dir.join(FILE_NAME)).unwrap(),
            |dir| fs::rename(dir, dir.with_extension("partial")).unwrap(),
        ];
        for damage in damages {
            damage(&store.ensure(&toy).unwrap().dir);
            assert_eq!(content(&store.ensure(&toy).unwrap()), "x");
        }
        assert_eq!(*made.lock().unwrap(), ["toy"; 4]);
    }

    #[test]
    fn ensure_with_a_replaced_part_makes_again() {
        let (_dir, store, made) = store();
        let part = |content| toy("part", content, Vec::new(), &made);
        let whole = |content| toy("whole", "x", vec![part(content)], &made);
        store.ensure(&whole("1")).unwrap();
        // The mirror has a newer version when the part is fetched again. One that is only missing does not matter until it
        // is needed.
        remove(&store.dir_of(&part("1")).unwrap()).unwrap();
        store.ensure(&whole("2")).unwrap();
        assert_eq!(*made.lock().unwrap(), ["part", "whole"]);
        store.ensure(&part("2")).unwrap();
        store.ensure(&whole("2")).unwrap();
        assert_eq!(*made.lock().unwrap(), ["part", "whole", "part", "whole"]);
    }

    #[test]
    fn ensure_of_parts_that_share_a_replaced_part_makes_both_from_the_new_one() {
        let (_dir, store, made) = store();
        let shared = |content| toy("shared", content, Vec::new(), &made);
        let early = |content| toy("early", "x", vec![shared(content)], &made);
        store.ensure(&early("1")).unwrap();
        remove(&store.dir_of(&shared("1")).unwrap()).unwrap();
        made.lock().unwrap().clear();
        // The early part is fit as long as the shared one is missing, and stale once the late one has had it made again.
        let late = toy("late", "x", vec![shared("2")], &made);
        store.ensure(&toy("whole", "x", vec![early("2"), late], &made)).unwrap();
        assert_eq!(*made.lock().unwrap(), ["shared", "late", "early", "whole"]);
    }

    #[test]
    fn ensure_of_a_part_that_another_part_makes_stale_does_not_wait_for_itself() {
        let (_dir, store, made) = store();
        let shared = |content| toy("shared", content, Vec::new(), &made);
        let early = |content| toy("early", "x", vec![shared(content)], &made);
        store.ensure(&early("1")).unwrap();
        remove(&store.dir_of(&shared("1")).unwrap()).unwrap();
        // As the module is made from the kernel's source and from the kernel, and the initramfs from both kernel and
        // module.
        let late = toy("late", "x", vec![shared("2"), early("2")], &made);
        store.ensure(&toy("whole", "x", vec![early("2"), late], &made)).unwrap();
        assert_eq!(made.lock().unwrap().iter().filter(|kind| **kind == "whole").count(), 1);
    }

    #[test]
    fn ensure_that_fails_or_whose_sources_are_edited_meanwhile_leaves_nothing() {
        let (_dir, store, made) = store();
        let nothing = |content, complaint: &str| {
            let error = store.ensure(&single(content, &made)).unwrap_err();
            assert_eq!(format!("{error:#}"), format!("cannot make the toy: {complaint}"));
            let left = fs::read_dir(store.settings.cache.join("toy")).unwrap().map(|entry| entry.unwrap().path());
            assert_eq!(left.filter(|path| path.is_dir()).count(), 0);
        };
        nothing("spoiled", "the recipe failed");
        nothing("edited", "its sources changed in the meantime: run this again");
    }

    #[test]
    fn ensure_of_runs_at_once_makes_once_and_does_not_wait_for_users() {
        let (dir, store, made) = store();
        let stores: Vec<Store> = (0..8).map(|_| open(dir.path())).collect();
        let toy = single("x", &made);
        let lock = store.dir_of(&toy).unwrap().with_extension("lock");
        fs::create_dir_all(lock.with_file_name("")).unwrap();
        let gate = File::create(lock).unwrap();
        gate.lock().unwrap();
        let held: Vec<Artifact> = thread::scope(|scope| {
            let runs: Vec<_> = stores.iter().map(|store| scope.spawn(|| store.ensure(&toy).unwrap())).collect();
            gate.unlock().unwrap();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert!(held.iter().all(|held| content(held) == "x"));
        assert_eq!(*made.lock().unwrap(), ["toy"]);
    }

    #[test]
    fn full_disk_names_the_directory_and_the_variable() {
        let (dir, store, _) = store();
        let error = io::Error::from(io::ErrorKind::StorageFull);
        let text = format!("{:#}", store.explain_full_disk(error.into()));
        assert!(text.contains(&dir.path().display().to_string()) && text.contains(settings::CACHE), "{text}");
        let command = anyhow::anyhow!("tar: failed").context(FULL_DISK).context("cannot make the toy");
        assert!(format!("{:#}", store.explain_full_disk(command)).contains(settings::CACHE));
    }
}
