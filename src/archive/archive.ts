/**
 * Images in files, for disks that travel: OCI image layouts as folders and tar files, and the archives of `docker save`. What
 * is read comes from strangers: it is read in place, bounded, and nothing of it becomes a path.
 */
export { type OtherContent, type OtherRegistry, openDockerRegistry } from './docker-registry.ts'
export { ArchiveError } from './errors.ts'
export { type ArchiveFiles, blobPath, readSmall } from './files.ts'
export { openFolderFiles } from './folder-files.ts'
export {
  type ArchivedImage,
  type ArchivedName,
  fullName,
  type ImageList,
  nameAnnotations,
  parseArchivedName,
  readImageList,
  refName,
} from './image-list.ts'
export { decodeRecords, encodeRecords, maxRecordFileBytes, recordFileName } from './record-file.ts'
export { openTarFiles } from './tar-files.ts'
export { type ArchiveWriter, isLayoutFolder, openFolderWriter, openTarWriter } from './writer.ts'
