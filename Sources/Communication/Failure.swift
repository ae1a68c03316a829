import Foundation

/// Prints one rank's error once, with its rank and host.
///
/// Ranks that fail in the same moment hold back in turn, so that the first of rank 0's node speaks and ends
/// the others before they repeat it.
func reportFailure(_ error: any Error, place: RankPlace) {
  let namesItsRank = error is AgreedError || error is CommunicationError || place.size == 1
  // What all agreed on is the first rank's to say; the others only make sure that the job ends.
  let seconds = error is AgreedError && place.rank != 0 ? 5 : turn(place)
  // The launcher ends ranks by SIGTERM, which must not be caught any more.
  signal(SIGTERM, SIG_DFL)
  if seconds > 0 { usleep(UInt32(seconds * 1e6)) }
  let text = namesItsRank ? "\(error)" : "rank \(place.rank) on \(place.hostname): \(error)"
  fflush(nil)
  FileHandle.standardError.write(Data("error: \(text)\n".utf8))
}

/// How many seconds this rank leaves the others to speak first. mpirun ends the ranks of its own node at once, which on
/// a busy machine takes a while, and those of others two seconds after a rank has failed.
private func turn(_ place: RankPlace) -> Double {
  guard place.localRank > 0 || !place.isOnFirstNode else { return 0 }
  return (place.isOnFirstNode ? 1 : 4) + min(0.25 * Double(place.localRank), 1.5)
}
