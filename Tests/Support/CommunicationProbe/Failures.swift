import Communication
import Foundation

/// The ranks named fail; the others wait for them in vain.
func probeFailure(_ communicator: Communicator, ranks: [Int]) throws {
  print("rank \(communicator.rank) at work")
  if ranks.contains(communicator.rank) { throw ProbeError("the dog ate the images") }
  try communicator.barrier()
}

/// The last rank leaves without a token, as one that the kernel killed.
func probeVanishing(_ communicator: Communicator) throws {
  if communicator.rank == communicator.size - 1 { kill(getpid(), SIGKILL) }
  _ = try communicator.allReduce(.sum, Float(1))
}

func probeAgreement(_ communicator: Communicator) throws {
  try expect(try communicator.agree { communicator.rank } == communicator.rank, "agreement on success")
  do {
    try communicator.agree {
      if communicator.rank == communicator.size - 1 { throw ProbeError("cannot read /nowhere.h5") }
    }
    try expect(false, "every rank to throw")
  } catch let error as AgreedError {
    let last = communicator.size - 1
    try expect(
      "\(error)" == "rank \(last) on \(communicator.hostname): cannot read /nowhere.h5",
      "one wording: \(error)")
    // All throw it on, and it must be printed once.
    throw error
  }
}

func probeChecksum(_ communicator: Communicator) throws {
  try communicator.checkEqual(checksum: .max, what: "the initial weights")
  try communicator.checkEqual(checksum: communicator.rank == 1 ? 1 : 7, what: "the initial weights")
}
