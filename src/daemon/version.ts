import project from '../../package.json' with { type: 'json' };

/** Flannelette's own, as `--version` and the status tell it. */
export const version: string = project.version;
