//! `filter/wasm/pack`: what registries and Istio take, and the same digests each time.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, ensure};
use gatelet_tests::envoy::project;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const MODULE: &[u8] = b"\0asm\x01\0\0\0 as far as packing looks at it";

#[test]
fn every_blob_is_what_its_descriptor_says() -> anyhow::Result<()> {
    let packed = Packed::new()?;
    let mut blobs = 0;
    for entry in fs::read_dir(packed.layout.path().join("blobs/sha256"))? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
        assert_eq!(hex(&fs::read(&path)?), name);
        blobs += 1;
    }
    // Two manifests, their configurations, and three layers.
    assert_eq!(blobs, 7);
    let sizes = |manifest: &Value| -> anyhow::Result<()> {
        let layers = manifest["layers"].as_array().context("layers")?;
        for descriptor in layers.iter().chain([&manifest["config"]]) {
            assert_eq!(descriptor["size"], packed.blob(descriptor)?.len(), "{descriptor}");
        }
        Ok(())
    };
    sizes(&packed.manifest("0.0.1")?)?;
    sizes(&packed.manifest("0.0.1-module")?)
}

/// One layer, gzipped, with `plugin.wasm` in it, and the annotation that tells this variant.
#[test]
fn the_image_has_the_module_where_istio_looks_for_it() -> anyhow::Result<()> {
    let packed = Packed::new()?;
    let manifest = packed.manifest("0.0.1")?;
    assert_eq!(manifest["annotations"]["module.wasm.image/variant"], "compat");
    let layers = manifest["layers"].as_array().context("layers")?;
    let [layer] = layers.as_slice() else { anyhow::bail!("not one layer: {manifest}") };
    assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let layer = packed.path(layer)?;
    let unpacked =
        run("tar", &["--extract", "--gzip", "--to-stdout", "--file", &layer, "plugin.wasm"])?;
    assert_eq!(unpacked, MODULE);
    let configuration: Value = serde_json::from_slice(&packed.blob(&manifest["config"])?)?;
    let tar = run("gzip", &["--decompress", "--stdout", &layer])?;
    assert_eq!(configuration["rootfs"]["diff_ids"], json!([format!("sha256:{}", hex(&tar))]));
    Ok(())
}

/// Two layers, neither more nor less: Istio counts them.
#[test]
fn the_artifact_has_the_module_itself() -> anyhow::Result<()> {
    let packed = Packed::new()?;
    let manifest = packed.manifest("0.0.1-module")?;
    let layers = manifest["layers"].as_array().context("layers")?;
    let [runtime, module] = layers.as_slice() else { anyhow::bail!("not two: {manifest}") };
    assert_eq!(runtime["mediaType"], "application/vnd.module.wasm.config.v1+json");
    assert_eq!(module["mediaType"], "application/vnd.module.wasm.content.layer.v1+wasm");
    assert_eq!(packed.blob(module)?, MODULE);
    let runtime: Value = serde_json::from_slice(&packed.blob(runtime)?)?;
    assert_eq!(runtime["type"], "envoy_proxy");
    Ok(())
}

#[test]
fn the_same_module_has_the_same_digests() -> anyhow::Result<()> {
    let (one, other) = (Packed::new()?, Packed::new()?);
    assert_eq!(one.index()?, other.index()?);
    assert_eq!(one.said, other.said);
    for manifest in one.index()?["manifests"].as_array().context("manifests")? {
        let digest = manifest["digest"].as_str().context("a digest")?;
        assert!(one.said.contains(digest), "{digest} is not printed:\n{}", one.said);
    }
    Ok(())
}

/// What the script made of [`MODULE`].
struct Packed {
    layout: TempDir,
    said: String,
}

impl Packed {
    fn new() -> anyhow::Result<Self> {
        let layout = tempfile::tempdir()?;
        let module = tempfile::NamedTempFile::new()?;
        fs::write(module.path(), MODULE)?;
        let script = project().join("filter/wasm/pack");
        let arguments =
            [&module.path().to_string_lossy(), &*layout.path().to_string_lossy(), "0.0.1"];
        let said = String::from_utf8(run(&script.to_string_lossy(), &arguments)?)?;
        Ok(Self { layout, said })
    }

    fn index(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.layout.path().join("index.json"))?)?)
    }

    fn manifest(&self, reference: &str) -> anyhow::Result<Value> {
        let index = self.index()?;
        let manifests =
            index.pointer("/manifests").and_then(Value::as_array).context("manifests")?;
        let is_named = |entry: &&Value| {
            entry.pointer("/annotations/org.opencontainers.image.ref.name")
                == Some(&Value::from(reference))
        };
        let entry = manifests.iter().find(is_named).with_context(|| reference.to_owned())?;
        assert_eq!(entry["size"], self.blob(entry)?.len());
        Ok(serde_json::from_slice(&self.blob(entry)?)?)
    }

    fn blob(&self, descriptor: &Value) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.path(descriptor)?)?)
    }

    fn path(&self, descriptor: &Value) -> anyhow::Result<String> {
        let digest =
            descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
        let blobs = self.layout.path().join("blobs/sha256");
        Ok(blobs.join(digest.context("a digest")?).to_string_lossy().into_owned())
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).output()?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
