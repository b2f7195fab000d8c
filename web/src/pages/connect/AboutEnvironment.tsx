import Box from '@mui/material/Box';
import type { ReactNode } from 'react';
import type { EnvironmentDetail, Limits } from '../../api/types';
import { LabelChips } from '../../components/LabelChips';
import { Panel } from '../../components/Panel';
import { numberText, sizeText } from '../../components/quantity';
import { sentenceCase } from '../../components/sentenceCase';
import { durationText } from '../../components/time';

export const aboutTitle = 'About this environment';

const allowNames: Record<EnvironmentDetail['allow'][number], string> = { federate: 'Federation', remoteRead: 'Remote read' };

function limitFacts(limits: Limits): [string, string][] {
  return [
    ['Longest query', `${numberText(limits.maxQueryLength)} characters`],
    ['Longest range', durationText(limits.maxRangeSeconds)],
    ['Longest look back', durationText(limits.maxLookbackSeconds)],
    ['Points per series', numberText(limits.maxPoints)],
    ['Evaluations per query', numberText(limits.maxEvaluations)],
    ['Largest answer', sizeText(limits.maxResponseBytes)],
    ['Queries at once', numberText(limits.maxConcurrent)],
    ['Requests per second', `${numberText(limits.requestsPerSecond)}, at most ${numberText(limits.burst)} at once`],
  ];
}

export function AboutEnvironment({ detail }: { detail: EnvironmentDetail }) {
  const { target, replicas, enforced, allow, health, limits } = detail;
  return (
    <Panel title={aboutTitle}>
      <Box component="dl" sx={{ m: 0, display: 'grid', rowGap: 1.25 }}>
        {health.message && <Fact name="What answers">{sentenceCase(health.message)}</Fact>}
        <Fact name="Target">
          {target.kind === 'service' ? 'A Service in Kubernetes' : 'A URL'}
          {target.description && (
            <Box component="code" sx={{ display: 'block', color: 'text.secondary' }}>
              {target.description}
            </Box>
          )}
        </Fact>
        <Fact name="Replicas">{replicas === 'pin' ? 'One ready pod answers for as long as it can' : 'Any of them answers'}</Fact>
        <Fact name="Enforced labels">{Object.keys(enforced).length > 0 ? <LabelChips labels={enforced} /> : 'None'}</Fact>
        <Fact name="Opt-in endpoints">{allow.length > 0 ? allow.map((name) => allowNames[name]).join(', ') : 'None'}</Fact>
      </Box>
      <Box component="dl" sx={{ m: 0, mt: 2, pt: 1.5, borderTop: '1px solid', borderColor: 'divider', display: 'grid', rowGap: 0.5 }}>
        {limitFacts(limits).map(([name, value]) => (
          <Box key={name} sx={{ display: 'flex', justifyContent: 'space-between', columnGap: 2, typography: 'body2' }}>
            <Box component="dt" sx={{ color: 'text.secondary' }}>
              {name}
            </Box>
            <Box component="dd" sx={{ m: 0, textAlign: 'right', fontVariantNumeric: 'tabular-nums' }}>
              {value}
            </Box>
          </Box>
        ))}
      </Box>
    </Panel>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <Box sx={{ typography: 'body2', minWidth: 0 }}>
      <Box component="dt" sx={{ typography: 'caption', color: 'text.secondary' }}>
        {name}
      </Box>
      <Box component="dd" sx={{ m: 0, overflowWrap: 'anywhere' }}>
        {children}
      </Box>
    </Box>
  );
}
