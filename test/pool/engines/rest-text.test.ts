// What slurmrestd gets and says, by the versions of its interface. test/pool/engines/slurm-rest.test.ts has a real one.
import { describe, expect, it } from 'vitest';
import type { JobDescription } from '#farlight/pool/engines/engine.js';
import { statusOf } from '#farlight/pool/engines/slurm/job-facts.js';
import { factsOf, listedOf, submissionOf } from '#farlight/pool/engines/slurm/rest-text.js';

const JOB: JobDescription = {
  name: 'farlight.lab.1',
  term: 7,
  command: ['echo', "it's"],
  environment: { HOME: '/home/ada' },
  log: '/home/ada/50%.log',
  limits: { minutes: 2.5, cpus: 4, memory: 8000, gpus: 'a100:2', partition: 'gpu' },
};

describe('a job for slurmrestd', () => {
  it('has numbers and variables as its version writes them', () => {
    const written = (version: `v0.0.${number}`) => submissionOf(JOB, { version, folder: '/work' });
    expect(written('v0.0.38')).toMatchObject({
      script: "#!/bin/sh\numask 077\nunset SLURM_JWT\nexport HOME='/home/ada'\nexec 'echo' 'it'\\''s'\n",
      job: {
        comment: 'farlight-term-7',
        standard_output: '/home/ada/50%%.log',
        open_mode: 'append',
        current_working_directory: '/work',
        environment: { PATH: '/usr/bin:/bin', HOME: '/home/ada' },
        no_requeue: true,
        dependency: 'singleton',
        time_limit: 3,
        cpus_per_task: 4,
        memory_per_node: 8000,
        gres: 'gpu:a100:2',
      },
    });
    expect(written('v0.0.41')).toMatchObject({
      job: {
        open_mode: ['APPEND'],
        requeue: false,
        environment: ['PATH=/usr/bin:/bin', 'HOME=/home/ada'],
        time_limit: { set: true, infinite: false, number: 3 },
        memory_per_node: { set: true, infinite: false, number: 8000 },
        tres_per_node: 'gres/gpu:a100:2',
      },
    });
  });

  it.each([
    [
      { job_state: 'PENDING', state_reason: 'Resources' },
      { phase: 'queued', why: 'no node is free (Resources)' },
    ],
    [
      { job_state: ['RUNNING', 'CONFIGURING'], nodes: 'gpu1' },
      { phase: 'starting', why: 'gpu1 is being powered up' },
    ],
    [
      { job_state: ['RUNNING'], batch_host: 'gpu1', restart_cnt: 2 },
      { phase: 'running', node: 'gpu1', incarnation: '2' },
    ],
    [
      { job_state: 'FAILED', exit_code: 7 << 8 },
      { phase: 'ended', why: 'it ended with exit code 7', isCertain: true, code: 7 },
    ],
    [
      { job_state: ['FAILED'], exit_code: { return_code: { number: 7 }, signal: { id: { number: 0 } } } },
      { phase: 'ended', why: 'it ended with exit code 7', isCertain: true, code: 7 },
    ],
    [
      { job_state: ['FAILED'], exit_code: { return_code: { number: 0 }, signal: { id: { number: 9 } } } },
      { phase: 'ended', why: 'it was killed (signal 9)', isCertain: true },
    ],
    [
      { state: { current: ['NODE_FAIL'], reason: 'None' } },
      { phase: 'ended', why: 'its node failed', isCertain: false, bySite: true },
    ],
  ])('%j is understood', (said, status) => {
    expect(statusOf(factsOf(said))).toMatchObject(status);
  });

  it('is found in the list of a site by its user and its comment', () => {
    const job = {
      job_id: 5,
      name: 'one',
      user_name: 'ada',
      comment: 'farlight-term-3',
      job_state: 'RUNNING',
    };
    const others = [
      { ...job, user_name: 'bob' },
      { ...job, comment: 'mine' },
      { ...job, comment: { job: '' } },
    ];
    expect(listedOf([job, ...others], 'ada')).toMatchObject([{ id: '5', name: 'one', term: 3 }]);
  });
});
