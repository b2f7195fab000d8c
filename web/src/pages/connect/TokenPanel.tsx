import Button from '@mui/material/Button';
import Link from '@mui/material/Link';
import Typography from '@mui/material/Typography';
import { Link as RouterLink } from 'react-router-dom';
import type { EnvironmentDetail, TokenSecret } from '../../api/types';
import { Notice } from '../../components/Notice';
import { Panel } from '../../components/Panel';
import { tokensScreen } from '../../components/paths';
import { SecretNotice } from '../../components/SecretNotice';
import { TokenForm } from '../../components/TokenForm';

export const tokenTitle = '2. Token';

interface TokenPanelProps {
  detail: EnvironmentDetail;
  made: TokenSecret | null;
  onMade: (made: TokenSecret | null) => void;
}

/** How clients prove themselves here: with a token to make, a token to ask for, or one of Kubernetes. */
export function TokenPanel({ detail, made, onMade }: TokenPanelProps) {
  const { project, name, role, endpointTokens } = detail;
  if (!endpointTokens) {
    return (
      <Panel title={tokenTitle}>
        <Notice>Endpoint tokens are switched off for this environment's cluster. Clients use their own Kubernetes token in its place.</Notice>
      </Panel>
    );
  }
  if (role !== 'maintainer') {
    return (
      <Panel title={tokenTitle}>
        <Notice>A maintainer of {project} can make a token for you. You can already look at what your client will need.</Notice>
      </Panel>
    );
  }
  return (
    <Panel
      title={tokenTitle}
      description="It reads metrics and nothing else, until it expires or is revoked."
      action={
        <Link component={RouterLink} to={tokensScreen(project)} variant="body2" sx={{ fontWeight: 600 }}>
          Tokens of {project}
        </Link>
      }
    >
      {made ? (
        <>
          <SecretNotice made={made}>It is in the snippets below too. When you leave this screen it is gone.</SecretNotice>
          <Typography sx={{ mt: 1.5 }}>
            <Button size="small" variant="outlined" color="inherit" onClick={() => onMade(null)}>
              Make another token
            </Button>
          </Typography>
        </>
      ) : (
        <TokenForm project={project} environment={name} onMade={onMade} />
      )}
    </Panel>
  );
}
