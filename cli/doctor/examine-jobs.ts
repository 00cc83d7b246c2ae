import { FarlightError } from '../../proto/errors.js';

/** How many templates and images there are for jobs, or why they cannot be read. */
export interface JobsReport {
  templates?: number;
  images?: number;
  problem?: string;
}

/** Reads all templates and images, so that a broken one is found before a job needs it. */
export async function examineJobs(): Promise<JobsReport> {
  try {
    const [{ storedTemplates }, { storedImages }] = await Promise.all([
      import('../../jobs/templates/template-store.js'),
      import('../../jobs/images/images.js'),
    ]);
    return { templates: storedTemplates().length, images: storedImages().length };
  } catch (error) {
    if (!(error instanceof FarlightError)) throw error;
    return { problem: error.message };
  }
}
