import Box from '@mui/material/Box';
import { useNavigate } from 'react-router-dom';
import { EnvironmentPicker } from '../../components/EnvironmentPicker';
import { environmentScreen, type EnvironmentTab } from '../../components/paths';

/** Goes to the same screen of another environment. */
export function EnvironmentSwitcher({ tab }: { tab: EnvironmentTab }) {
  const navigate = useNavigate();
  return (
    <Box sx={{ width: { xs: '100%', sm: 260 } }}>
      <EnvironmentPicker
        isCompact
        label="Switch environment"
        data-testid="environment-switcher"
        value={null}
        onChange={(chosen) => chosen && navigate(environmentScreen(chosen.project, chosen.name, tab))}
      />
    </Box>
  );
}
