import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { emptyRoot, Frontier, inclusionProof, leafHash, verifyInclusion } from '../../format/merkle.ts'
import { faultOf, faultOfAsync, flippedBit } from './faults.ts'
import { treeRoot } from './stranger-keys.ts'

const merkle = suite('Merkle tree')

// The reference tree of Certificate Transparency's own tests (RFC 6962): eight leaves and the root after each.
const CT_LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const CT_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

merkle('roots are those of RFC 6962', () => {
  assert.is(emptyRoot().toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  assert.equal(Frontier.empty().root(), emptyRoot())
  const frontier = Frontier.empty()
  for (const [at, leaf] of CT_LEAVES.entries()) {
    frontier.append(leafHash(Buffer.from(leaf, 'hex')))
    assert.is(frontier.root().toString('hex'), CT_ROOTS[at])
  }
})

merkle('roots, peaks and proofs of trees of 0 to 70 leaves agree with the definition', async () => {
  const leaves = Array.from({ length: 70 }, (_, at) => Buffer.from(`leaf ${at}`))
  const hashes = leaves.map(leafHash)
  let frontier = Frontier.empty()
  for (let size = 0; size <= leaves.length; size++) {
    const root = treeRoot(leaves.slice(0, size))
    assert.equal(frontier.root(), root)
    frontier = Frontier.resume(size, frontier.peaks)
    for (const index of new Set([0, 1, size >> 1, size - 2, size - 1].filter(each => each >= 0 && each < size))) {
      const path = await inclusionProof(index, size, hashes.slice(0, size))
      const own = hashes[index] ?? root
      verifyInclusion(own, index, size, path, root)
      const wrong = [
        () => verifyInclusion(own, index + 1, size, path, root),
        () => verifyInclusion(own, index, size, [...path, root], root),
        () => verifyInclusion(flippedBit(own, 0), index, size, path, root),
        () => verifyInclusion(own, index, size, path, flippedBit(root, 255)),
      ]
      if (path.length > 0) wrong.push(() => verifyInclusion(own, index, size, path.slice(1), root))
      for (const each of wrong) assert.is(faultOf(each), 'tampered', `${index} of ${size}`)
    }
    const next = hashes[size]
    if (next !== undefined) frontier.append(next)
  }
})

merkle('a frontier that does not fit its size, and a leaf that is not there, are refused', async () => {
  assert.is(
    faultOf(() => Frontier.resume(3, [emptyRoot()])),
    'malformed',
  )
  assert.is(
    faultOf(() => Frontier.resume(1, [Buffer.alloc(31)])),
    'malformed',
  )
  assert.is(await faultOfAsync(() => inclusionProof(2, 2, [emptyRoot(), emptyRoot()])), 'mismatch')
  assert.is(await faultOfAsync(() => inclusionProof(0, 3, [emptyRoot(), emptyRoot()])), 'truncated')
})

merkle('a node does not pass for a leaf', () => {
  const [a, b] = [leafHash(Buffer.of(1)), leafHash(Buffer.of(2))]
  const frontier = Frontier.empty()
  frontier.append(a)
  frontier.append(b)
  assert.not.equal(leafHash(Buffer.concat([a, b])), frontier.root())
})

merkle.run()
