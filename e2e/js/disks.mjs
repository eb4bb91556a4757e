// Drives a server with Azure's own JavaScript clients: an upload, a snapshot, a restore, downloads and a difference.
// What is asked of the answers is asserted here; the process ends with 0 only if all of it holds.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes, webcrypto } from "node:crypto";
import { ComputeManagementClient } from "@azure/arm-compute";
import { ClientSecretCredential } from "@azure/identity";
import { ResourceManagementClient } from "@azure/arm-resources";
import { PageBlobClient } from "@azure/storage-blob";

globalThis.crypto ??= webcrypto; // Node 18, which is Debian 12's, has it there only behind a flag

const env = process.env;
const group = "javascript", location = "westus2";
const mib = 1 << 20, size = 64 * mib;
const endpoint = env.AZURE_AUTHORITY_HOST.replace(/\/$/, "");
const credential = new ClientSecretCredential(env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, env.AZURE_CLIENT_SECRET, {
  authorityHost: endpoint,
  disableInstanceDiscovery: true,
});
const options = { endpoint, credentialScopes: [`${endpoint}/.default`] };
const compute = new ComputeManagementClient(credential, env.AZURE_SUBSCRIPTION_ID, options);
const resources = new ResourceManagementClient(credential, env.AZURE_SUBSCRIPTION_ID, options);

/** footer makes the 512 bytes that end a fixed VHD: see "Virtual Hard Disk Image Format Specification", Hard Disk Footer. */
function footer(bytes) {
  const b = Buffer.alloc(512);
  b.write("conectix", 0, "latin1");
  b.writeUInt32BE(2, 8);
  b.writeUInt32BE(0x10000, 12);
  b.writeBigUInt64BE(0xffffffffffffffffn, 16);
  b.write("e2e ", 28, "latin1");
  b.writeBigUInt64BE(BigInt(bytes), 40);
  b.writeBigUInt64BE(BigInt(bytes), 48);
  b.writeUInt32BE(2, 60);
  randomBytes(16).copy(b, 68);
  b.writeUInt32BE(~b.reduce((sum, byte) => sum + byte, 0) >>> 0, 64);
  return b;
}

async function uploaded(name, pages) {
  const disk = await compute.disks.beginCreateOrUpdateAndWait(group, name, {
    location,
    creationData: { createOption: "Upload", uploadSizeBytes: size + 512 },
  });
  assert.equal(disk.diskState, "ReadyToUpload");
  const { accessSAS } = await compute.disks.beginGrantAccessAndWait(group, name, { access: "Write", durationInSeconds: 600 });
  const blob = new PageBlobClient(accessSAS);
  for (const [offset, bytes] of pages) await blob.uploadPages(bytes, offset, bytes.length);
  await blob.uploadPages(footer(size), size, 512);
  await compute.disks.beginRevokeAccessAndWait(group, name);
  const ready = await compute.disks.get(group, name);
  assert.equal(ready.diskState, "Unattached");
  return ready;
}

async function snapshot(name, sourceResourceId) {
  const made = await compute.snapshots.beginCreateOrUpdateAndWait(group, name, {
    location,
    incremental: true,
    creationData: { createOption: "Copy", sourceResourceId },
  });
  assert.equal(made.provisioningState, "Succeeded");
  assert.equal(made.completionPercent, 100);
  return made;
}

async function reading(name) {
  const { accessSAS } = await compute.snapshots.beginGrantAccessAndWait(group, name, { access: "Read", durationInSeconds: 600 });
  return new PageBlobClient(accessSAS);
}

/** The client's count is the last byte's offset less the first's. */
const sum = (ranges) => ranges.reduce((n, r) => n + r.count + 1, 0);

await resources.resourceGroups.createOrUpdate(group, { location });
const first = randomBytes(mib), second = randomBytes(4096);
const disk = await uploaded("d1", [[0, first], [32 * mib, second]]);
const before = await snapshot("s1", disk.id);

const blob = await reading("s1");
const { contentLength } = await blob.getProperties();
assert.equal(contentLength, size + 512);
assert.ok(first.equals(await blob.downloadToBuffer(0, mib)));
assert.ok(second.equals(await blob.downloadToBuffer(32 * mib, 4096)));
const { pageRange } = await blob.getPageRanges(0, size);
assert.equal(sum(pageRange), mib + 4096);
await compute.snapshots.beginRevokeAccessAndWait(group, "s1");
await assert.rejects(blob.getProperties(), (err) => err.statusCode === 403);

const restored = await compute.disks.beginCreateOrUpdateAndWait(group, "d2", {
  location,
  sku: { name: "Premium_LRS" },
  creationData: { createOption: "Copy", sourceResourceId: before.id },
});
assert.equal(restored.diskSizeBytes, size);
const after = await snapshot("s2", disk.id);
assert.equal(after.incrementalSnapshotFamilyId, before.incrementalSnapshotFamilyId);


// What the restored disk's snapshots differ by: a trimmed MiB and a written block, as a guest does both over NBD.
const origin = await snapshot("s3", restored.id);
const run = (...words) => execFileSync(words[0], words.slice(1), { encoding: "utf8" }).trim();
const uri = run(env.TINTYPE, "disk", "attach", "-g", group, "-n", "d2");
run("qemu-io", "-f", "raw", "-d", "unmap", "-c", "discard 0 1M", "-c", "write -P 7 8M 4k", "-c", "flush", uri);
run(env.TINTYPE, "disk", "detach", "-g", group, "-n", "d2");
await snapshot("s4", restored.id);
const base = (await reading("s3")).url;
const changed = await (await reading("s4")).getPageRangesDiffForManagedDisks(0, size, base);
assert.deepEqual(changed.pageRange, [{ offset: 8 * mib, count: 4095 }]);
assert.deepEqual(changed.clearRange, [{ offset: 0, count: mib - 1 }]);
for (const name of ["s3", "s4"]) {
  await compute.snapshots.beginRevokeAccessAndWait(group, name);
  await compute.snapshots.beginDeleteAndWait(group, name);
}
assert.equal(origin.creationData.sourceResourceId, restored.id);

const names = [];
for await (const s of compute.snapshots.listByResourceGroup(group)) names.push(s.name);
assert.deepEqual(names.sort(), ["s1", "s2"]);
const tagged = await compute.snapshots.beginUpdateAndWait(group, "s2", { tags: { kept: "yes" } });
assert.deepEqual(tagged.tags, { kept: "yes" });
await compute.disks.beginDeleteAndWait(group, "d1");
await assert.rejects(compute.disks.get(group, "d1"), (err) => err.code === "ResourceNotFound" && err.statusCode === 404);
await resources.resourceGroups.beginDeleteAndWait(group);
console.log("done");
