import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { digestOf } from '../../format/digest.ts'
import { FormatError } from '../../format/fault.ts'
import { Frontier, inclusionProof, leafHash, verifyInclusion } from '../../format/merkle.ts'
import { MESSAGES } from './release-messages.ts'
import { sealSeeded, seeded } from './stranger.ts'
import { changed, type Inputs, READERS, type VectorFile } from './vector-readers.ts'

const vectors = suite('our vectors')
const folder = new URL('../vectors/sealift/', import.meta.url)
const load = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
const names = readdirSync(folder).filter(name => name !== 'tree.json')

/** The bytes of a case: kept, or for a body made again from its seeds. */
function bytesOf(structure: string, inputs: Inputs, kept: string): Buffer {
  if (structure !== 'body') return Buffer.from(kept, 'base64')
  const plain = seeded(inputs.plaintextSeed ?? '', Number(inputs.plaintextLength))
  const key = Buffer.from(inputs.objectKey ?? '', 'hex')
  return sealSeeded(inputs.objectId ?? '', key, plain, Number(inputs.segmentBytes), inputs.nonceSeed ?? '')
}

vectors('there is a file for every structure that a reader is made for', () => {
  assert.equal(names.map(name => name.slice(0, -'.json'.length)).sort(), Object.keys(READERS).sort())
})

for (const name of names) {
  const { structure, cases }: VectorFile = load(name)
  const read = READERS[structure]
  for (const { name: title, inputs, bytes: kept, expect, refused } of cases) {
    vectors(`${structure}: ${title} is read as written`, async () => {
      assert.equal(await read?.(inputs, bytesOf(structure, inputs, kept)), expect)
    })
    vectors(`${structure}: ${title}: ${refused.length} changes are refused, each for its reason`, async () => {
      const bytes = bytesOf(structure, inputs, kept)
      for (const refusal of refused) {
        const found = await read?.({ ...inputs, ...refusal.inputs }, changed(bytes, refusal)).then(
          () => 'nothing',
          (error: unknown) => (error instanceof FormatError ? error.fault : String(error)),
        )
        assert.is(found, refusal.fault, refusal.why)
      }
      assert.ok(refused.length > 0)
    })
  }
}

vectors('every call of KeyRelease has a vector of what it asks and of what it answers', () => {
  const { cases }: VectorFile = load('release.json')
  assert.equal([...new Set(cases.map(each => each.inputs.message))].sort(), MESSAGES.map(each => each.name).sort())
})

vectors('roots and audit paths of trees of 0 to 9 leaves', async () => {
  const tree: { leaves: string[]; roots: string[]; proofs: string[][][] } = load('tree.json')
  const hashes = tree.leaves.map(each => leafHash(Buffer.from(each, 'hex')))
  for (const [size, root] of tree.roots.entries()) {
    const frontier = Frontier.empty()
    for (const each of hashes.slice(0, size)) frontier.append(each)
    assert.is(frontier.root().toString('hex'), root)
    assert.is(Frontier.resume(size, frontier.peaks).root().toString('hex'), root)
    for (const [index, kept] of (tree.proofs[size] ?? []).entries()) {
      const proof = await inclusionProof(index, size, hashes.slice(0, size))
      assert.equal(
        proof.map(each => each.toString('hex')),
        kept,
      )
      verifyInclusion(hashes[index] ?? Buffer.alloc(0), index, size, proof, Buffer.from(root, 'hex'))
    }
  }
  assert.is(tree.roots.length, 10)
})

vectors('a body that is made of its seeds has the digests of its vector', () => {
  const { cases }: VectorFile = load('body.json')
  for (const { inputs, expect } of cases)
    assert.is(digestOf(2, bytesOf('body', inputs, '')).toString('hex'), expect.bodySha256)
})

vectors('the generator makes the same bodies, trees and CBOR again, and all else anew and sound', () => {
  const made = mkdtempSync(path.join(os.tmpdir(), 'sealift-vectors-'))
  try {
    const maker = new URL('../vectors/make.ts', import.meta.url)
    execFileSync(process.execPath, [maker.pathname, made], { stdio: 'pipe' })
    for (const name of [
      'body.json',
      'tree.json',
      'cbor.json',
      'release.json',
      'message-frame.json',
      'request-proof.json',
    ])
      assert.is(readFileSync(path.join(made, name), 'utf8'), readFileSync(new URL(name, folder), 'utf8'), name)
    assert.equal(readdirSync(made).sort(), readdirSync(folder).sort())
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
})

vectors.run()
